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
import { galileo } from './galileo/galileo.ts'
import { hmacAuth } from './hmac-auth/hmac-auth.ts'
import { httpLog } from './http-log/http-log.ts'
import { ipRestriction } from './ip-restriction/ip-restriction.ts'
import { jwt } from './jwt/jwt.ts'
import { keyAuth } from './key-auth/key-auth.ts'
import { ldapAuth } from './ldap-auth/ldap-auth.ts'
import { loggly } from './loggly/loggly.ts'
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

/**
 * The shipped plugins, then the custom ones in the order in which they are named.
 *
 * @param customNames  names of shipped plugins (nothing happens), names of packages, or paths that start with
 *                     `.` or `/`
 * @param fromDir      where paths start and packages are looked for
 * @throws {TroopError} `plugin-not-installed` when there is no such module, `plugin-broken` with the cause when
 *                      it can't be loaded or does not export a plugin
 */
export async function loadPlugins(
  customNames: readonly string[],
  fromDir: string,
): Promise<readonly Plugin[]> {
  const plugins = new Map(shippedPlugins.map((plugin) => [plugin.name, plugin]))
  for (const name of customNames) {
    if (plugins.has(name)) continue
    const plugin = await loadPlugin(name, fromDir)
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

async function loadPlugin(name: string, fromDir: string): Promise<Plugin> {
  const specifier = locate(name, fromDir)
  let module: { default?: unknown; plugin?: unknown }
  try {
    module = await import(specifier)
  } catch (cause) {
    // Only the module itself being absent; one that imports something absent is broken.
    if (codeOf(cause) === 'ERR_MODULE_NOT_FOUND' && describeError(cause).includes(`'${bare(specifier)}'`)) {
      throw notInstalled(name, cause)
    }
    throw broken(name, 'it failed to load', cause)
  }
  const plugin = module.plugin ?? module.default
  const fault = faultOf(plugin)
  if (fault) throw broken(name, fault)
  return plugin as Plugin
}

/** What `import` takes: packages are found from `fromDir`, not from where Troop is installed. */
function locate(name: string, fromDir: string): string {
  if (name.startsWith('.') || isAbsolute(name)) return pathToFileURL(resolve(fromDir, name)).href
  try {
    return pathToFileURL(createRequire(resolve(fromDir, 'troop.yml')).resolve(name)).href
  } catch {
    // Not there, or for `import` only: import itself can tell.
    return name
  }
}

/** As Node's message has it: a path, or the name of a package. */
function bare(specifier: string): string {
  return specifier.startsWith('file:') ? decodeURIComponent(new URL(specifier).pathname) : specifier
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
