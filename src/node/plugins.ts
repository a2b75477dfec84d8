// Which plugins this node has, and what they bring.
import { dirname } from 'node:path'
import type { Entity } from '../entities/define.ts'
import { coreEntities } from '../entities/entities.ts'
import { plugin } from '../entities/plugin.ts'
import type { Plugin } from '../plugins/plugin.ts'
import {
  loadPlugins as load,
  type PluginVersions,
  pluginFolders,
  shippedPlugins,
  versionsOf,
} from '../plugins/plugins.ts'
import type { Store } from '../store/store.ts'
import { PluginMissing } from './errors.ts'

/** Where relative names of `custom_plugins` start: beside the configuration that has them. */
export function pluginDirOf(configPath: string | undefined): string {
  return configPath === undefined ? process.cwd() : dirname(configPath)
}

/**
 * The shipped plugins and the custom ones.
 * @throws {TroopError} naming the one that is not installed or is broken
 */
export function loadPlugins(
  custom: readonly string[],
  configPath: string | undefined,
  versions?: PluginVersions,
): Promise<readonly Plugin[]> {
  return load(custom, pluginDirOf(configPath), versions)
}

/** Which code the custom plugins of a configuration are now, for all threads alike. */
export function pluginVersions(
  custom: readonly string[],
  configPath: string | undefined,
): Promise<PluginVersions> {
  return versionsOf(custom, pluginDirOf(configPath))
}

/** The folders in which the code of custom plugins lies. */
export function foldersOfPlugins(
  custom: readonly string[],
  configPath: string | undefined,
): Promise<readonly string[]> {
  return pluginFolders(custom, pluginDirOf(configPath))
}

/** Why nobody can call a plugin that. */
export function nameFault(name: string): string | undefined {
  if (!/^[a-z0-9-]+$/.test(name)) return 'it has more than lower-case letters, digits and -'
  return shippedPlugins.some((plugin) => plugin.name === name) ? 'Troop has one of that name' : undefined
}

/** All that the datastore may hold for this node. */
export function entitiesOf(plugins: readonly Plugin[]): readonly Entity[] {
  return [...coreEntities, ...plugins.flatMap(({ entities }) => entities)]
}

/**
 * Refuses to serve APIs without a plugin that they are configured with.
 * @throws {PluginMissing}
 */
export async function requirePlugins(plugins: readonly Plugin[], store: Store): Promise<void> {
  const installed = new Set(plugins.map(({ name }) => name))
  const missing = (await store.distinct(plugin, 'name')).find((name) => !installed.has(name))
  if (missing !== undefined) throw new PluginMissing(missing)
}
