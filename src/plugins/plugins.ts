// The plugins that a node has: the shipped ones, and those that `custom_plugins` names.
import { createRequire } from 'node:module'
import { isAbsolute, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { codeOf, describeError, TroopError } from '../base/errors.ts'
import { coercions } from '../entities/coerce.ts'
import { coreEntities } from '../entities/entities.ts'
import { acl } from './acl/acl.ts'
import { basicAuth } from './basic-auth/basic-auth.ts'
import { botDetection } from './bot-detection/bot-detection.ts'
import { correlationId } from './correlation-id/correlation-id.ts'
import { cors } from './cors/cors.ts'
import { datadog } from './datadog/datadog.ts'
import { fileLog } from './file-log/file-log.ts'
import { fingerprintOf, foldersOf } from './fingerprint.ts'
import { galileo } from './galileo/galileo.ts'
import { hmacAuth } from './hmac-auth/hmac-auth.ts'
import { httpLog } from './http-log/http-log.ts'
import { ipRestriction } from './ip-restriction/ip-restriction.ts'
import { jwt } from './jwt/jwt.ts'
import { keyAuth } from './key-auth/key-auth.ts'
import { ldapAuth } from './ldap-auth/ldap-auth.ts'
import { loggly } from './loggly/loggly.ts'
import { addressOf, forgetRequired, offerModules } from './module-addresses.ts'
import { oauth2 } from './oauth2/oauth2.ts'
import type { Plugin } from './plugin.ts'
import { rateLimiting } from './rate-limiting/rate-limiting.ts'
import { requestSizeLimiting } from './request-size-limiting/request-size-limiting.ts'
import { requestTransformer } from './request-transformer/request-transformer.ts'
import { responseRatelimiting } from './response-ratelimiting/response-ratelimiting.ts'
import { responseTransformer } from './response-transformer/response-transformer.ts'
import { runscope } from './runscope/runscope.ts'
import { ssl } from './ssl/ssl.ts'
import { statsd } from './statsd/statsd.ts'
import { syslog } from './syslog/syslog.ts'
import { tcpLog } from './tcp-log/tcp-log.ts'
import { udpLog } from './udp-log/udp-log.ts'

/** Listed by hand, in the order that decides between equal priorities. */
export const shippedPlugins: readonly Plugin[] = [
  jwt,
  acl,
  botDetection,
  correlationId,
  cors,
  oauth2,
  tcpLog,
  fileLog,
  httpLog,
  ipRestriction,
  keyAuth,
  hmacAuth,
  basicAuth,
  requestSizeLimiting,
  rateLimiting,
  ssl,
  udpLog,
  statsd,
  datadog,
  syslog,
  loggly,
  runscope,
  ldapAuth,
  galileo,
  requestTransformer,
  responseRatelimiting,
  responseTransformer,
]

/** Which code the custom plugins are that are files, by the names that they were asked for by; see fingerprint.ts. */
export type PluginVersions = Readonly<Record<string, string>>

/** Of the files as they are now. Packages have no version here: what a thread has read of them, it keeps. */
export async function versionsOf(customNames: readonly string[], fromDir: string): Promise<PluginVersions> {
  const paths = customNames.filter(isPath)
  const versions = paths.map(async (name) => [name, await fingerprintOf(resolve(fromDir, name))])
  return Object.fromEntries(await Promise.all(versions))
}

/** The folders in which the code of the custom plugins lies that are files. */
export async function pluginFolders(customNames: readonly string[], fromDir: string): Promise<string[]> {
  const folders = customNames.filter(isPath).map((name) => foldersOf(resolve(fromDir, name)))
  return [...new Set((await Promise.all(folders)).flat())]
}

/**
 * The shipped plugins, then the custom ones in the order in which they are named.
 *
 * @param customNames  names of shipped plugins (nothing happens), names of packages, or paths that start with
 *                     `.` or `/`
 * @param fromDir      where paths start and packages are looked for
 * @param versions     of those that are files; one that this thread has read is as it was then. Default: as they are now
 * @throws {TroopError} `plugin-not-installed` when there is no such module, `plugin-broken` with the cause when
 *                      it can't be loaded or does not export a plugin
 */
export async function loadPlugins(
  customNames: readonly string[],
  fromDir: string,
  versions?: PluginVersions,
): Promise<readonly Plugin[]> {
  const shipped = new Set(shippedPlugins.map(({ name }) => name))
  const wanted = customNames.filter((name) => !shipped.has(name))
  if (wanted.length > 0) offerModules()
  const known = versions ?? (await versionsOf(wanted, fromDir))
  const custom: NamedPlugin[] = []
  for (const name of wanted) custom.push({ name, plugin: await importPlugin(name, fromDir, known[name]) })
  return joinPlugins(custom)
}

/** What was taken for a plugin, and what it was asked for by. */
export interface NamedPlugin {
  readonly name: string
  readonly plugin: unknown
}

/**
 * The shipped plugins, then these.
 * @throws {TroopError} `plugin-broken` for what is no plugin, or has a name or an entity that is there already
 */
export function joinPlugins(custom: readonly NamedPlugin[]): readonly Plugin[] {
  const plugins = new Map(shippedPlugins.map((plugin) => [plugin.name, plugin]))
  for (const { name, plugin: given } of custom) {
    const fault = faultOf(given)
    if (fault) throw broken(name, fault)
    const plugin = given as Plugin
    const other = plugins.get(plugin.name)
    if (other && other !== plugin) throw broken(name, `there is a plugin ${plugin.name} already`)
    const known = [...coreEntities, ...[...plugins.values()].flatMap(({ entities }) => entities)]
    const twin = other
      ? undefined
      : plugin.entities.find((own) => known.some((each) => each.name === own.name))
    if (twin) throw broken(name, `there is an entity ${twin.name} already`)
    plugins.set(plugin.name, plugin)
  }
  return [...plugins.values()]
}

/** What the module exports as its plugin, whatever that is. */
async function importPlugin(name: string, fromDir: string, version: string | undefined): Promise<unknown> {
  const specifier = locate(name, fromDir, version)
  try {
    if (version !== undefined) forgetRequired(resolve(fromDir, name))
    const module: { default?: unknown; plugin?: unknown } = await import(specifier)
    return module.plugin ?? module.default
  } catch (cause) {
    // Only the module itself being absent; one that imports something absent is broken.
    if (codeOf(cause) === 'ERR_MODULE_NOT_FOUND' && describeError(cause).includes(`'${bare(specifier)}'`)) {
      throw notInstalled(name, cause)
    }
    throw broken(name, `it failed to load${placeOf(cause)}`, cause)
  }
}

/** What `import` takes: packages are found from `fromDir`, not from where Troop is installed. */
function locate(name: string, fromDir: string, version: string | undefined): string {
  if (version !== undefined) return addressOf(resolve(fromDir, name), version)
  if (isPath(name)) return pathToFileURL(resolve(fromDir, name)).href
  try {
    return pathToFileURL(createRequire(resolve(fromDir, 'troop.yml')).resolve(name)).href
  } catch {
    // Not there, or for `import` only: import itself can tell.
    return name
  }
}

function isPath(name: string): boolean {
  return name.startsWith('.') || isAbsolute(name)
}

/** As Node's message has it: a path, or the name of a package. */
function bare(specifier: string): string {
  return specifier.startsWith('file:') ? decodeURIComponent(new URL(specifier).pathname) : specifier
}

/** ` at <file>:<line>`, the first one that an error's stack names: Node's messages about syntax leave it out. */
function placeOf(error: unknown): string {
  const stack = String((error as Error | undefined)?.stack)
  const [, url, line] = /(file:[^\s?:]+|^\/[^\s?:]+)(?:\?[^\s:]*)?:(\d+)/m.exec(stack) ?? []
  return url === undefined ? '' : ` at ${bare(url)}:${line}`
}

/** What keeps `value` from being a plugin; see plugin.ts. */
function faultOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null)
    return 'it exports no plugin, neither as default nor as `plugin`'
  const { name, priority, perConsumer, config, entities, migrations, open } = value as Record<string, unknown>
  if (typeof name !== 'string' || !/^[a-z0-9-]+$/.test(name)) {
    return 'its name must be text of lower-case letters, digits and -'
  }
  if (typeof priority !== 'number' || !Number.isFinite(priority)) return 'its priority must be a number'
  if (typeof perConsumer !== 'boolean') return 'perConsumer must be true or false'
  if (!isTable(config)) return 'its config must be a table of fields'
  const wrongField = faultOfFields(config as Record<string, unknown>, 'config')
  if (wrongField) return wrongField
  if (!Array.isArray(entities)) return 'its entities must be a list'
  if (!isTable(migrations)) return 'its migrations must be a table'
  for (const entity of entities) {
    if (
      !isTable(entity) ||
      typeof entity.name !== 'string' ||
      !isTable(entity.fields) ||
      !Array.isArray(entity.lookups)
    ) {
      return 'each of its entities must be one of defineEntity'
    }
    const wrong = faultOfFields(entity.fields, entity.name)
    if (wrong) return wrong
  }
  return typeof open === 'function' ? undefined : 'open must be a function; definePlugin makes one of phases'
}

/** What keeps a table of fields from being one; `path` is where it is. */
function faultOfFields(fields: Record<string, unknown>, path: string): string | undefined {
  for (const [name, field] of Object.entries(fields)) {
    const at = `${path}.${name}`
    if (!isTable(field)) return `${at} must be a field, with a type`
    const { type, enum: words, pattern, check, fields, each } = field
    if (typeof type !== 'string' || !Object.hasOwn(coercions, type)) {
      return `${at}: the type must be one of ${Object.keys(coercions).join(', ')}, and is ${JSON.stringify(type)}`
    }
    if (words !== undefined && !(Array.isArray(words) && words.every((word) => typeof word === 'string'))) {
      return `${at}: enum must be a list of texts`
    }
    if (pattern !== undefined && !(pattern instanceof RegExp))
      return `${at}: pattern must be a regular expression`
    if (check !== undefined && typeof check !== 'function') return `${at}: check must be a function`
    for (const inner of [fields, each]) {
      if (inner === undefined) continue
      const wrong = isTable(inner) ? faultOfFields(inner, at) : `${at} must hold a table of fields`
      if (wrong) return wrong
    }
  }
  return undefined
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function notInstalled(name: string, cause: unknown): TroopError {
  return new TroopError(
    'plugin-not-installed',
    `The following plugin has been enabled in the configuration but it is not installed on the system: ${name}`,
    { cause, hint: 'install it, or take it out of custom_plugins' },
  )
}

function broken(name: string, why: string, cause?: unknown): TroopError {
  return new TroopError('plugin-broken', `the plugin ${name} cannot be used: ${why}`, { cause })
}
