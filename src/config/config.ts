// What a node is told before it starts: one frozen value, made from file, environment and defaults.
import { availableParallelism } from 'node:os'
import { type Address, formatAddress, isLoopback } from '../base/address.ts'
import { formatDuration } from '../base/duration.ts'
import { openFilesMax } from '../base/open-files.ts'
import { ConfigurationInvalid, type Fault, type Notice } from './errors.ts'
import { findFile, type Loaded, type LoadOptions, load } from './load.ts'
import { connectionsFew, connectionsMost, roomForConnections } from './open-files.ts'
import { environmentName, type Setting, type SettingName, settingsList, type Values } from './settings.ts'

/** Durations are in milliseconds, paths are absolute. docs/configuration.md says what each setting is for. */
interface Pacing {
  readonly graceMs: number
  readonly bytesPerSecond: number
}

export interface Config {
  readonly workingDir: string
  readonly workers: number
  /** For how long a worker may stand still; 0 for ever. */
  readonly workerTimeoutMs: number
  readonly customPlugins: readonly string[]
  readonly memoryCacheSizeMb: number
  readonly filterKeysMax: number
  /** How many APIs have metrics of their own. */
  readonly apisMeasured: number
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  readonly proxy: {
    readonly listen: Address
    readonly listenSsl: Address
    readonly sslCertPath: string | undefined
    readonly sslKeyPath: string | undefined
    readonly trustedIps: readonly string[]
    readonly connectTimeoutMs: number
    readonly sendTimeoutMs: number
    readonly readTimeoutMs: number
    readonly upstreamVerify: boolean
    readonly upstreamAuthorityPath: string | undefined
    /** Connections to each upstream in use that are open ahead of requests. */
    readonly upstreamSpares: number
    readonly minPositionWaitMs: number
    readonly handshakeTimeoutMs: number
    readonly fastLane: boolean
    readonly http2: boolean
    /** What a client may take of time and room. */
    readonly limits: {
      readonly headMs: number
      readonly idleMs: number
      readonly upload: Pacing
      readonly download: Pacing
      readonly requestLineBytesMax: number
      readonly fieldLineBytesMax: number
      readonly fieldsMax: number
      readonly headBytesMax: number
      readonly connectionsMax: number
      readonly streamsMax: number
    }
    readonly heldBytesMax: number
  }
  readonly admin: {
    readonly listen: Address
    /** Undefined: it does not take HTTPS. */
    readonly listenSsl: Address | undefined
    readonly sslCertPath: string | undefined
    readonly sslKeyPath: string | undefined
    /** Any of these is accepted; none is asked for when there are none. */
    readonly tokens: readonly string[]
    readonly insecure: boolean
    readonly origins: readonly string[]
  }
  readonly postgres: {
    /** Whether the node runs its own server, in `embeddedDir`, rather than use the one that is named here. */
    readonly embedded: boolean
    /** Undefined: the default, which depends on who runs the node. */
    readonly embeddedDir: string | undefined
    readonly host: string
    readonly port: number
    readonly user: string
    readonly password: string | undefined
    readonly database: string
    readonly ssl: {
      readonly enabled: boolean
      readonly verify: boolean
      readonly certificateAuthorityPath: string | undefined
    }
    readonly poolSize: number
    readonly connectTimeoutMs: number
    readonly queryTimeoutMs: number
    readonly readUrl: string | undefined
  }
  readonly log: { readonly keepDays: number; readonly keepEvents: number }
  readonly cluster: {
    readonly listen: Address
    /** Where the command line reaches the node. */
    readonly listenRpc: Address
    readonly autoJoin: boolean
    readonly advertise: Address | undefined
    /** The first is used, all are accepted. */
    readonly encrypt: readonly string[]
    readonly profile: 'wan' | 'lan' | 'local'
    /** What goes over the profile; undefined: as in the profile. */
    readonly timing: {
      readonly probeIntervalMs: number | undefined
      readonly probeTimeoutMs: number | undefined
      readonly indirectProbes: number | undefined
      readonly suspicionMs: number | undefined
      readonly lagToleratedMs: number | undefined
      readonly syncIntervalMs: number | undefined
      readonly redialMostMs: number | undefined
    }
    readonly ttlOnFailureMs: number
    readonly ackTimeoutMs: number
    readonly heartbeatIntervalMs: number
    readonly maxStalenessMs: number | undefined
    readonly onStale: 'serve' | 'refuse'
    readonly purgeOnJoin: 'all' | 'self'
  }
  /** All of the above under the settings' own names, for showing and comparing. */
  readonly values: Values
  /** Those of them that follow from others, since nobody has set them. */
  readonly derived: readonly SettingName[]
}

export interface LoadedConfig {
  readonly config: Config
  /** The file that was read, absolute; undefined when there is none. */
  readonly path: string | undefined
  /** What was given and has no effect. */
  readonly notices: readonly Notice[]
  /** What works, and is hardly what was meant. */
  readonly warnings: readonly Fault[]
}

/** The file that `loadConfig` would read, absolute; undefined when there is none. */
export function configurationPath(options: LoadOptions = {}): Promise<string | undefined> {
  return findFile(options)
}

/**
 * Reads the configuration.
 * @throws {ConfigurationInvalid} with every fault there is
 * @throws {ConfigurationMissing} when a file was named and can't be read
 * @throws {ConfigurationUnparsable} when it is not YAML
 */
export async function loadConfig(options: LoadOptions = {}): Promise<LoadedConfig> {
  const loaded = await load(options)
  const faults = [...loaded.faults, ...contradictions(loaded)]
  if (faults.length > 0) throw new ConfigurationInvalid(faults)
  const filesMax = 'openFilesMax' in options ? options.openFilesMax : openFilesMax()
  const settled = withOwnDefaults(loaded.values, filesMax)
  const derived = derivable.filter((name) => loaded.values[name] === undefined)
  const config = freeze({ ...configFrom(settled, isEmbedded(loaded)), derived })
  return {
    config,
    path: loaded.path,
    notices: [...loaded.notices, ...withoutEffect(loaded)],
    warnings: shortOfFiles(config, filesMax),
  }
}

/** The settings as a file would hold them, nested, secrets as `******`; what is not set is left out. */
export function maskConfiguration(config: Config): Readonly<Record<string, unknown>> {
  const masked: Record<string, unknown> = {}
  for (const [name, setting] of settingsList) {
    const value = config.values[name]
    if (value === undefined) continue
    const steps = name.split('.')
    let table = masked
    for (const step of steps.slice(0, -1)) {
      table[step] ??= {}
      table = table[step] as Record<string, unknown>
    }
    table[steps.at(-1) as string] = written(setting, value)
  }
  return masked
}

/** Which settings differ: those that a reload applies, and those that wait for a restart. */
export function changedSettings(
  before: Config,
  after: Config,
): { applied: SettingName[]; restart: SettingName[] } {
  const isUnset = (name: SettingName) => before.derived.includes(name) && after.derived.includes(name)
  const changed = settingsList.filter(
    ([name]) => JSON.stringify(before.values[name]) !== JSON.stringify(after.values[name]) && !isUnset(name),
  )
  const names = (reload: boolean) =>
    changed.filter(([, setting]) => setting.reload === reload).map(([name]) => name)
  return { applied: names(true), restart: names(false) }
}

/** One row of docs/configuration.md. */
export interface SettingRow {
  readonly name: string
  readonly alias: string | undefined
  readonly environment: string
  /** In words, with unit and bounds. */
  readonly type: string
  /** In words where there is no fixed one. */
  readonly default: string
  readonly reload: boolean
  readonly secret: boolean
  readonly help: string
  /** Why it has no effect, if it has none. */
  readonly inert: string | undefined
}

/** The table of all settings, for people. */
export function configurationTable(): SettingRow[] {
  return settingsList.map(([name, setting]) => ({
    name,
    alias: setting.alias,
    environment: environmentName(name),
    type: typeInWords(setting),
    default: defaultInWords(setting),
    reload: setting.reload,
    secret: setting.secret ?? false,
    help: setting.help,
    inert: setting.inert,
  }))
}

const connectionSettings: readonly SettingName[] = [
  'postgres.host',
  'postgres.port',
  'postgres.user',
  'postgres.password',
  'postgres.database',
  'postgres.ssl.enabled',
  'postgres.ssl.verify',
  'postgres.ssl.certificate_authority',
]

function isEmbedded({ given }: Loaded): boolean {
  return !given.has('database') && !connectionSettings.some((name) => given.has(name))
}

type Settled = Values & { readonly workers: number; readonly 'proxy.connections_max': number }

/** Their defaults depend on other settings. */
const derivable: readonly SettingName[] = ['proxy.connections_max']

/** With defaults that depend on where the node runs. */
function withOwnDefaults(values: Values, filesMax: number | undefined): Settled {
  const workers = values.workers ?? availableParallelism()
  const room = roomForConnections(filesMax, workers, values['postgres.pool_size'])
  const connections = values['proxy.connections_max'] ?? Math.min(room, connectionsMost)
  return { ...values, workers, 'proxy.connections_max': connections }
}

function configFrom(values: Settled, embedded: boolean): Omit<Config, 'derived'> {
  const token = values.admin_api_token
  const connection = connectionDefaults(values)
  return {
    workingDir: values.working_dir,
    workers: values.workers,
    workerTimeoutMs: values.worker_timeout,
    customPlugins: values.custom_plugins,
    memoryCacheSizeMb: values.memory_cache_size,
    filterKeysMax: values.filter_keys_max,
    apisMeasured: values['metrics.apis_max'],
    logLevel: values.log_level as Config['logLevel'],
    proxy: {
      listen: values.proxy_listen,
      listenSsl: values.proxy_listen_ssl,
      sslCertPath: values.ssl_cert_path,
      sslKeyPath: values.ssl_key_path,
      trustedIps: values.trusted_ips,
      connectTimeoutMs: values['proxy.connect_timeout'],
      sendTimeoutMs: values['proxy.send_timeout'],
      readTimeoutMs: values['proxy.read_timeout'],
      upstreamVerify: values['proxy.upstream_verify'],
      upstreamAuthorityPath: values['proxy.upstream_certificate_authority'],
      upstreamSpares: values['proxy.upstream_spares'],
      minPositionWaitMs: values['proxy.min_position_wait'],
      handshakeTimeoutMs: values['proxy.tls_handshake_timeout'],
      fastLane: values['proxy.fast_lane'],
      http2: values['proxy.http2'],
      limits: limitsOf(values),
      heldBytesMax: values['proxy.held_body_max'],
    },
    admin: {
      listen: values.admin_api_listen,
      listenSsl: values.admin_api_ssl_listen,
      sslCertPath: values.admin_api_ssl_cert_path,
      sslKeyPath: values.admin_api_ssl_key_path,
      tokens: token === undefined ? values.admin_api_tokens : [token, ...values.admin_api_tokens],
      insecure: values.admin_api_insecure,
      origins: values.admin_api_origins,
    },
    postgres: {
      embedded,
      embeddedDir: values['postgres.embedded_dir'],
      host: connection['postgres.host'],
      port: connection['postgres.port'],
      user: connection['postgres.user'],
      password: values['postgres.password'],
      database: connection['postgres.database'],
      ssl: {
        enabled: values['postgres.ssl.enabled'],
        verify: values['postgres.ssl.verify'],
        certificateAuthorityPath: values['postgres.ssl.certificate_authority'],
      },
      poolSize: values['postgres.pool_size'],
      connectTimeoutMs: values['postgres.connect_timeout'],
      queryTimeoutMs: values['postgres.query_timeout'],
      readUrl: values['postgres.read_url'],
    },
    log: { keepDays: values['log.keep_days'], keepEvents: values['log.keep_events'] },
    cluster: {
      listen: values.cluster_listen,
      listenRpc: values.cluster_listen_rpc,
      autoJoin: values['cluster.auto-join'],
      advertise: values['cluster.advertise'],
      encrypt: values['cluster.encrypt'],
      profile: values['cluster.profile'] as Config['cluster']['profile'],
      timing: {
        probeIntervalMs: values['cluster.probe_interval'],
        probeTimeoutMs: values['cluster.probe_timeout'],
        indirectProbes: values['cluster.indirect_probes'],
        suspicionMs: values['cluster.suspicion_timeout'],
        lagToleratedMs: values['cluster.lag_tolerated'],
        syncIntervalMs: values['cluster.sync_interval'],
        redialMostMs: values['cluster.redial_interval'],
      },
      ttlOnFailureMs: values['cluster.ttl_on_failure'] * 1000,
      ackTimeoutMs: values['cluster.ack_timeout'],
      heartbeatIntervalMs: values['cluster.heartbeat_interval'],
      maxStalenessMs: values['cluster.max_staleness'],
      onStale: values['cluster.on_stale'] as Config['cluster']['onStale'],
      purgeOnJoin: values['cluster.purge_on_join'] as Config['cluster']['purgeOnJoin'],
    },
    values: embedded ? values : { ...values, ...connectionDefaults(values) },
  }
}

function connectionDefaults(values: Values) {
  return {
    database: values.database ?? 'postgres',
    'postgres.host': values['postgres.host'] ?? '127.0.0.1',
    'postgres.port': values['postgres.port'] ?? 5432,
    'postgres.user': values['postgres.user'] ?? 'troop',
    'postgres.database': values['postgres.database'] ?? 'troop',
  }
}

function limitsOf(values: Settled): Config['proxy']['limits'] {
  return {
    headMs: values['proxy.head_timeout'],
    idleMs: values['proxy.idle_timeout'],
    upload: { graceMs: values['proxy.upload_grace'], bytesPerSecond: values['proxy.upload_rate_min'] },
    download: { graceMs: values['proxy.download_grace'], bytesPerSecond: values['proxy.download_rate_min'] },
    requestLineBytesMax: values['proxy.request_line_max'],
    fieldLineBytesMax: values['proxy.head_line_max'],
    fieldsMax: values['proxy.head_lines_max'],
    headBytesMax: values['proxy.head_max'],
    connectionsMax: values['proxy.connections_max'],
    streamsMax: values['proxy.http2_streams_max'],
  }
}

/** Settings that are right alone and wrong together. */
function contradictions({ values }: Loaded): Fault[] {
  const faults: Fault[] = []
  const hasToken = values.admin_api_token !== undefined || values.admin_api_tokens.length > 0
  for (const property of ['admin_api_listen', 'admin_api_ssl_listen'] as const) {
    const address = values[property]
    if (!address || isLoopback(address.host) || hasToken || values.admin_api_insecure) continue
    faults.push({
      property,
      reason: 'other machines can reach this address, and no token is asked for',
      value: formatAddress(address),
      remedy: 'set admin_api_token, or admin_api_insecure: true, or listen on 127.0.0.1',
    })
  }
  if (!isLoopback(values.cluster_listen_rpc.host)) {
    faults.push({
      property: 'cluster_listen_rpc',
      reason: 'must be a loopback address, since commands travel on it unencrypted',
      value: formatAddress(values.cluster_listen_rpc),
      remedy: `use 127.0.0.1:${values.cluster_listen_rpc.port}`,
    })
  }
  for (const [one, other] of bothOrNeither) {
    if ((values[one] === undefined) === (values[other] === undefined)) continue
    const [present, absent] = values[one] === undefined ? [other, one] : [one, other]
    faults.push({
      property: absent,
      reason: `must be given when ${present} is`,
      remedy: 'give both or neither',
    })
  }
  const timeout = values.worker_timeout
  if (timeout > 0 && timeout < 1000) {
    faults.push({
      property: 'worker_timeout',
      reason: 'must be at least 1s: a worker may stand still for less when it collects garbage',
      value: formatDuration(timeout),
      remedy: 'set it to 1s or more, or to 0ms to switch it off',
    })
  }
  if (values['cluster.on_stale'] === 'refuse' && values['cluster.max_staleness'] === undefined) {
    faults.push({
      property: 'cluster.max_staleness',
      reason: 'must be given when cluster.on_stale is refuse',
      remedy: 'set cluster.max_staleness, e.g. to 10s',
    })
  }
  const [maxStaleness, interval] = [values['cluster.max_staleness'], values['cluster.heartbeat_interval']]
  if (maxStaleness !== undefined && maxStaleness <= interval) {
    faults.push({
      property: 'cluster.max_staleness',
      reason: `must be longer than cluster.heartbeat_interval (${formatDuration(interval)}), by which a node learns that it is fresh`,
      value: formatDuration(maxStaleness),
      remedy: `set it to ${formatDuration(3 * interval)} or more`,
    })
  }
  return [...faults, ...sharedPorts(values)]
}

const bothOrNeither = [
  ['ssl_cert_path', 'ssl_key_path'],
  ['admin_api_ssl_cert_path', 'admin_api_ssl_key_path'],
] as const

const listeners = [
  'proxy_listen',
  'proxy_listen_ssl',
  'admin_api_listen',
  'admin_api_ssl_listen',
  'cluster_listen',
  'cluster_listen_rpc',
] as const

/** Two listeners on one port of one host: only one of them could start. */
function sharedPorts(values: Values): Fault[] {
  const open = listeners.flatMap((name): [SettingName, Address][] => {
    const address = values[name]
    return address ? [[name, address]] : []
  })
  return open.flatMap(([property, address], i) =>
    open
      .slice(0, i)
      .filter(([, earlier]) => overlap(address, earlier))
      .map(([earlier]) => ({
        property,
        reason: `is the same port as ${earlier}`,
        value: formatAddress(address),
        remedy: 'give each listener a port of its own',
      })),
  )
}

function overlap(a: Address, b: Address): boolean {
  const everywhere = ['0.0.0.0', '::']
  return (
    a.port === b.port &&
    a.port !== 0 &&
    (a.host === b.host || everywhere.includes(a.host) || everywhere.includes(b.host))
  )
}

/** Settings that mean nothing beside the others. */
function withoutEffect(loaded: Loaded): Notice[] {
  const { given, values } = loaded
  const notices: Notice[] = []
  const say = (property: SettingName, reason: string) =>
    notices.push({ property, place: 'configuration', reason })
  if (!isEmbedded(loaded) && given.has('postgres.embedded_dir')) {
    say('postgres.embedded_dir', 'the server that `postgres` names is used, not the embedded one')
  }
  if (values.admin_api_ssl_cert_path !== undefined && values.admin_api_ssl_listen === undefined) {
    say('admin_api_ssl_cert_path', 'the Admin API takes no HTTPS without `admin_api_ssl_listen`')
  }
  return notices
}

/** More connections than there can be descriptors, or few since there are few. */
function shortOfFiles({ workers, proxy, postgres }: Config, filesMax: number | undefined): Fault[] {
  const { connectionsMax } = proxy.limits
  const room = roomForConnections(filesMax, workers, postgres.poolSize)
  const tooMany = connectionsMax > room
  const few = connectionsMax === room && workers * room < connectionsFew
  if (!tooMany && !few) return []
  const has = `the limit of open files (ulimit -n: ${filesMax}) leaves room for ${room} in each of ${workers} workers`
  const raise = 'raise the limit (`ulimit -n`; systemd: LimitNOFILE; Docker: --ulimit nofile)'
  return [
    {
      property: 'proxy.connections_max',
      reason: tooMany ? `${connectionsMax} may be more than the node can open: ${has}` : has,
      remedy: tooMany ? `${raise}, or set proxy.connections_max to ${room}` : raise,
    },
  ]
}

function freeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) freeze(inner)
  return Object.freeze(value)
}

/** A value as a file would hold it. */
function written(setting: Setting, value: unknown): unknown {
  if (setting.secret) return Array.isArray(value) ? value.map(() => '******') : '******'
  if (setting.type === 'address' || setting.type === 'ip-address') return formatAddress(value as Address)
  if (setting.type === 'duration') return formatDuration(value as number)
  return value
}

function typeInWords(setting: Setting): string {
  switch (setting.type) {
    case 'text':
      return setting.choices ? setting.choices.map((choice) => `\`${choice}\``).join(', ') : 'text'
    case 'number': {
      const unit = setting.unit ?? ''
      const most = setting.maximum === undefined ? '' : ` to ${setting.maximum}`
      const least = most === '' ? `at least ${setting.minimum}` : `${setting.minimum}`
      return `number, ${least}${most} ${unit}`.trim()
    }
    case 'duration':
      return `duration, at least ${setting.minimum}`
    case 'address':
      return 'host:port'
    case 'ip-address':
      return 'IPv4:port'
    case 'list':
      return setting.single ? 'text or list of texts' : 'list of texts'
    case 'ignored':
      return 'anything'
    default:
      return setting.type
  }
}

function defaultInWords(setting: Setting): string {
  if (setting.type === 'ignored') return 'none'
  if (!('default' in setting) || setting.default === undefined) {
    return 'instead' in setting && setting.instead !== undefined ? setting.instead : 'none'
  }
  if (Array.isArray(setting.default)) return 'empty'
  return `\`${setting.default}\`${'unit' in setting ? ` ${setting.unit}` : ''}`
}
