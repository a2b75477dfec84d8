// Clients of Kong 0.8 know one cache entry for each plugin and API: `plugins:<name>:<api>[:<consumer>]`. Troop keeps
// one for all plugins of an API: `plugins:<api>[:<consumer>]`. This is how the old spelling is read.
import type { Json, Row } from '../base/json.ts'

export interface PluginKey {
  /** The entry that holds it. */
  readonly key: string
  /** The plugin in it that is meant. */
  readonly name: string
}

/** What 0.8 keeps where a plugin is not configured. */
const noPlugin: Json = { null: true }

/** Reads the old spelling; undefined for every other key. What follows the prefix is an id in ours, a name in it. */
export function parsePluginKey(key: string): PluginKey | undefined {
  const [prefix, name, ...ids] = key.split(':')
  if (prefix !== 'plugins' || !name || isUuid(name) || ids.length < 1 || ids.length > 2) return undefined
  return { key: ['plugins', ...ids].join(':'), name }
}

/** What the old key shows of the list that is cached. */
export function viewOfPlugins(rows: readonly Row[], name: string): Json {
  return rows.find((row) => row.name === name) ?? noPlugin
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}
