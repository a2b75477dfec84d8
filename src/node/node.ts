// One node, from its start to its end: what is opened, in which order, and how it is closed again.
import { rm } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import { type Address, formatAddress } from '../base/address.ts'
import { systemClock, within } from '../base/clock.ts'
import { deadlineBuffer } from '../base/deadline.ts'
import { TroopError } from '../base/errors.ts'
import type { JsonObject } from '../base/json.ts'
import { type LogFile, openLog } from '../base/logger.ts'
import { systemRandom } from '../base/random.ts'
import { Resources } from '../base/resources.ts'
import type { ClusterOptions } from '../cluster/cluster.ts'
import { advertisedAddress } from '../cluster/membership/advertised.ts'
import type { NodeIdentity } from '../cluster/membership/registry.ts'
import { parseKeys } from '../cluster/transport/keys.ts'
import { TlsTransport } from '../cluster/transport/tls-transport.ts'
import { type Config, changedSettings, loadConfig, maskConfiguration } from '../config/config.ts'
import type { SettingName } from '../config/settings.ts'
import type { NodeStatus, Reloaded } from '../control/control.ts'
import { createControlServer } from '../control/server.ts'
import { makeToken, writeControlAccess } from '../control/token.ts'
import { Database } from '../database/database.ts'
import type { KeyPair, Plugin } from '../plugins/plugin.ts'
import { AdminServer, type AdminSetup } from './admin-server.ts'
import { Agent } from './agent.ts'
import { postgresDatastore } from './agent-datastore.ts'
import { CacheView } from './cache-view.ts'
import { type CertificateOwner, givenPair, ownPair, readAuthorities } from './certificates.ts'
import { PostgresCounters } from './counters/postgres-counters.ts'
import { type Datastore, migrateDatastore, openDatastore, type Surroundings } from './datastore.ts'
import { LookupsChanged, StartInterrupted } from './errors.ts'
import { Metrics } from './metrics.ts'
import { entitiesOf, loadPlugins, pluginDirOf, pluginVersions, requirePlugins } from './plugins.ts'
import { listenersOnOnePort, requireFreePorts } from './ports.ts'
import { rowWriter } from './row-writer.ts'
import { handleSignals } from './signals.ts'
import { Sweeper } from './sweeper.ts'
import type { ProxySetup } from './thread.ts'
import { packageVersion } from './version.ts'
import { Workers } from './workers.ts'
import {
  keepName,
  PidFile,
  prepareWorkingDir,
  replaceName,
  type WorkingDir,
  workingDirAt,
} from './working-dir.ts'

export interface NodeOptions {
  readonly config: Config
  /** The file that `config` was read from, read again by a reload; undefined when there is none. */
  readonly configPath: string | undefined
  /** The environment that `config` was read with, for reloads too. Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Told a line for each step of the start, for people. */
  readonly report: (line: string) => void
  /** Whether the log goes to standard output rather than to a file in the working directory. */
  readonly foreground: boolean
}

export interface RunningNode {
  /** The addresses that it listens on, as bound, by the names of their settings. */
  readonly listeners: Readonly<Record<string, string>>
  /** Where its data is, without secrets. */
  readonly datastore: string
  /** Resolves once it has stopped, for whatever reason; rejects when something could not be released. */
  readonly stopped: Promise<void>
  /** Whether, once it has stopped, a thread that nothing can end keeps the process from ending. */
  readonly isHeldUp: boolean
  /** Stops it: at once with a short grace for open requests, or once they are done. */
  stop(how: 'stop' | 'quit'): void
}

/**
 * Starts a node; resolves once it serves.
 * @throws whatever kept it from starting, with everything released that was opened
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const node = new Node(options)
  await node.start()
  return node
}

/** For queries in flight to be answered, when all who could want their answers have stopped. */
const databaseStopMs = 2000

/** As sysexits.h has it: an internal error. */
const failedCode = 70
/** In which a node that failed may still leave in order. */
const failLimitMs = 10_000

/** Of `memory_cache_size`: half for the node's own cache, half shared by the workers'. */
const agentPart = 0.5

class Node implements RunningNode {
  readonly stopped: Promise<void>
  readonly #ended = Promise.withResolvers<void>()
  readonly #resources = new Resources()
  readonly #options: NodeOptions
  readonly #dir: WorkingDir
  readonly #startedAtMs = systemClock.monotonic()
  readonly #listeners: Record<string, string> = {}
  readonly #version = packageVersion()
  readonly #staleness: ClusterOptions['staleness']
  #config: Config
  #plugins: readonly Plugin[] = []
  /** What the workers were given last. */
  #proxySetup!: ProxySetup
  /** What the Admin API shows; undefined when it does not take HTTPS. */
  #adminPair: KeyPair | undefined
  #ready = false
  /** Aborted when it is told to stop while it starts. */
  readonly #interrupt = new AbortController()
  /** Reloads, one after the other. */
  #reloading: Promise<unknown> = Promise.resolve()
  #ending: Promise<void> | undefined
  // What `start` opens, in this order.
  #log!: LogFile
  #surroundings!: Surroundings
  #datastore!: Datastore
  #database!: Database
  #agent!: Agent
  #counters!: PostgresCounters
  #workers!: Workers
  #cacheView!: CacheView
  #metrics!: Metrics
  #admin!: AdminServer

  constructor(options: NodeOptions) {
    this.#options = options
    this.#config = options.config
    this.#staleness = this.#makeStaleness(options.config.cluster)
    this.#dir = workingDirAt(options.config.workingDir)
    this.stopped = this.#ended.promise
    // Whoever started it awaits `stopped`; while it starts, nobody does yet.
    this.stopped.catch(() => undefined)
  }

  get listeners(): Readonly<Record<string, string>> {
    return this.#listeners
  }

  get datastore(): string {
    return this.#datastore.description
  }

  get isHeldUp(): boolean {
    return this.#workers.state.hanging > 0
  }

  async start(): Promise<void> {
    const interrupted = new Promise<never>((_, reject) => {
      this.#interrupt.signal.addEventListener('abort', () => reject(new StartInterrupted()))
    })
    interrupted.catch(() => undefined)
    try {
      await this.#claimPlace()
      for (const step of [
        () => this.#openDatastore(),
        () => this.#openAgent(),
        () => this.#openWorkers(),
        () => this.#openAdmin(),
        () => this.#openControl(),
      ]) {
        await Promise.race([step(), interrupted])
      }
    } catch (error) {
      await this.#resources.release().catch((cause) => {
        this.#log?.logger.error('not all was released', { error: cause })
      })
      throw error
    }
    this.#ready = true
    const { logger } = this.#surroundings
    logger.scope('node').info('started', { version: this.#version, listeners: this.#listeners })
  }

  stop(how: 'stop' | 'quit'): void {
    if (this.#ending) {
      // It waits for open requests, if it was a quit: now it does not.
      if (how === 'stop') void this.#workers.stop()
    } else if (this.#ready) {
      this.#ready = false
      this.#ending = this.#end(how).then(this.#ended.resolve, this.#ended.reject)
    } else {
      this.#interrupt.abort()
    }
  }

  async #claimPlace(): Promise<void> {
    const { config, report, foreground } = this.#options
    if (await prepareWorkingDir(this.#dir.path, systemRandom))
      report(`Creating working directory at ${this.#dir.path}`)
    report(`Setting working directory to ${this.#dir.path}`)
    const pidFile = await PidFile.claim(this.#dir.pidFile, systemRandom)
    this.#resources.add('pid file', () => pidFile.release())
    // One of a node that was killed: nobody is to wait for an answer from there.
    await rm(this.#dir.controlFile, { force: true })
    this.#log = openLog(foreground ? 1 : this.#dir.logFile, config.logLevel)
    this.#resources.add('log', () => this.#log.flush())
    this.#surroundings = { clock: systemClock, random: systemRandom, logger: this.#log.logger }
    this.#handleSignals()
    await requireFreePorts({
      proxy_listen: config.proxy.listen,
      proxy_listen_ssl: config.proxy.listenSsl,
      admin_api_listen: config.admin.listen,
      ...(config.admin.listenSsl && { admin_api_ssl_listen: config.admin.listenSsl }),
      cluster_listen: config.cluster.listen,
      cluster_listen_rpc: config.cluster.listenRpc,
    })
    this.#proxySetup = await this.#readProxySetup(config)
    this.#adminPair = await this.#readAdminPair(config)
  }

  /** @param port  on which this node really listens for others */
  async #identify(port: number): Promise<NodeIdentity> {
    const { advertise, listen, ttlOnFailureMs, maxStalenessMs, onStale } = this.#config.cluster
    const found = advertisedAddress(advertise, { ...listen, port }, networkInterfaces())
    if (found.loopbackOnly)
      this.#options.report('no address but 127.0.0.1 was found; cluster.advertise sets one')
    const address = formatAddress(found.address)
    const name = await keepName(this.#dir.nameFile, newNodeName(address), systemRandom)
    return {
      name,
      address,
      version: this.#version,
      ttlSeconds: Math.round(ttlOnFailureMs / 1000),
      refusesAfterMs: onStale === 'refuse' ? (maxStalenessMs ?? null) : null,
    }
  }

  async #rename(): Promise<string> {
    const { address } = await this.#identify(Number(this.#listeners.cluster_listen?.split(':').at(-1)))
    return replaceName(this.#dir.nameFile, newNodeName(address), systemRandom)
  }

  async #openDatastore(): Promise<void> {
    const { signal } = this.#interrupt
    const { config, configPath, report } = this.#options
    this.#plugins = await loadPlugins(config.customPlugins, configPath, this.#proxySetup.pluginVersions)
    this.#datastore = await openDatastore(config.postgres, this.#surroundings, this.#resources, signal)
    report(`database...........${this.#datastore.description}`)
    await migrateDatastore(this.#datastore, this.#plugins, this.#surroundings, report, signal)
  }

  async #openAgent(): Promise<void> {
    const { clock, logger } = this.#surroundings
    const { cluster } = this.#config
    const database = new Database(this.#datastore.options, { logger: logger.scope('database') })
    this.#resources.add('database', () => {
      // A query that a silent server does not answer is not waited for.
      const silent = () => new TroopError('datastore-away', 'connections were left to their time-outs')
      return within(systemClock, databaseStopMs, database.stop(), silent).catch((error) => {
        logger.warn('the datastore was left without its answers', { error })
      })
    })
    this.#database = database
    this.#agent = new Agent({
      datastore: postgresDatastore(database, clock),
      entities: entitiesOf(this.#plugins),
      heartbeatIntervalMs: cluster.heartbeatIntervalMs,
      cluster: {
        makeTransport: ({ cluster: id, secret, urgent }) =>
          new TlsTransport({
            ...{ listen: cluster.listen, cluster: id, urgent, clock, logger: logger.scope('cluster') },
            keys: parseKeys(cluster.encrypt.length > 0 ? cluster.encrypt : [secret]),
          }),
        identify: (port) => this.#identify(port),
        rename: () => this.#rename(),
        profile: cluster.profile,
        timing: cluster.timing,
        autoJoin: cluster.autoJoin,
        purgeOnJoin: cluster.purgeOnJoin,
        staleness: this.#staleness,
      },
      cacheBytes: this.#cacheBytes * agentPart,
      filterKeysMax: this.#config.filterKeysMax,
      retention: this.#config.log,
      surroundings: this.#surroundings,
    })
    await requirePlugins(this.#plugins, this.#agent.store)
    this.#listens('cluster_listen', await this.#agent.start(this.#resources))
    this.#counters = new PostgresCounters({ database, isAway: () => this.#agent.isAway(), clock })
    const entities = () => entitiesOf(this.#plugins)
    const sweeper = new Sweeper({ ...this.#surroundings, database, entities, logger: logger.scope('node') })
    this.#resources.own('sweeper', sweeper).start()
  }

  async #openWorkers(): Promise<void> {
    const config = this.#config
    const count = await listenersOnOnePort(config.workers)
    if (count < config.workers) this.#options.report('ports cannot be shared on this platform: 1 worker')
    this.#workers = new Workers({
      count,
      listen: { plain: config.proxy.listen, tls: config.proxy.listenSsl },
      catalog: this.#agent.catalog,
      countBatch: (asks) => this.#counters.count(asks),
      standstillMaxMs: config.workerTimeoutMs,
      apisCounted: config.apisMeasured,
      rowWriter: rowWriter({
        store: this.#agent.store,
        entities: () => entitiesOf(this.#plugins),
        publish: (written, waitMs) => this.#agent.publish(written, waitMs),
        ackTimeoutMs: () => this.#config.cluster.ackTimeoutMs,
        logger: this.#surroundings.logger.scope('node'),
      }),
      setup: {
        cacheBytes: (this.#cacheBytes * (1 - agentPart)) / count,
        reusePort: count > 1,
        ticketKeys: Buffer.from(this.#surroundings.random.hex(48), 'hex'),
        freshness: this.#staleness?.deadline,
        proxy: this.#proxySetup,
        limits: config.proxy.limits,
        handshakeTimeoutMs: config.proxy.handshakeTimeoutMs,
        fastLane: config.proxy.fastLane,
        http2: config.proxy.http2,
        version: this.#version,
        logLevel: config.logLevel,
      },
      surroundings: this.#surroundings,
    })
    this.#resources.own('workers', this.#workers)
    await this.#workers.start()
    const { plain, tls } = this.#workers.addresses
    this.#listens('proxy_listen', plain)
    this.#listens('proxy_listen_ssl', tls)
  }

  async #openAdmin(): Promise<void> {
    this.#cacheView = new CacheView(this.#agent.catalog, () => this.#workers.count('routed'))
    this.#metrics = new Metrics({
      ...{ agent: this.#agent, database: this.#database, workers: this.#workers, version: this.#version },
      ...{ startedAtMs: this.#startedAtMs, clock: systemClock },
    })
    this.#resources.own('metrics', this.#metrics)
    this.#metrics.start()
    const { listen, listenSsl } = this.#config.admin
    this.#admin = new AdminServer(this.#adminOptions(), this.#adminPair)
    this.#resources.own('admin api', this.#admin)
    this.#listens('admin_api_listen', await this.#admin.start(listen))
    if (listenSsl) this.#listens('admin_api_ssl_listen', await this.#admin.startTls(listenSsl))
  }

  /** Last: whoever reaches it finds a node that serves. */
  async #openControl(): Promise<void> {
    const { clock, random, logger } = this.#surroundings
    const token = makeToken(random)
    const server = await createControlServer({
      listen: this.#config.cluster.listenRpc,
      token,
      methods: {
        status: () => this.#status(),
        reload: () => this.#reload(),
        stop: () => this.stop('stop'),
        quit: () => this.stop('quit'),
        positions: () => this.#agent.cluster.positions(),
        reachability: () => this.#agent.cluster.reachability(),
        verify: (limitMs) => this.#agent.cluster.verify(limitMs),
        forceLeave: ({ name, prune }) => this.#agent.cluster.forceLeave(name, prune),
      },
      logger: logger.scope('control'),
      clock,
    })
    this.#resources.own('control', server)
    this.#listens('cluster_listen_rpc', server.address)
    this.#resources.add('control file', () => rm(this.#dir.controlFile, { force: true }))
    await writeControlAccess(this.#dir.controlFile, { address: formatAddress(server.address), token }, random)
  }

  #handleSignals(): void {
    const logger = this.#surroundings.logger.scope('node')
    const release = handleSignals({
      stop: () => this.stop('stop'),
      quit: () => this.stop('quit'),
      reload: () => {
        if (this.#ready) this.#reload().catch((error) => logger.error('reload refused', { error }))
      },
      reopenLog: () => this.#log.reopen(),
      failed: (error) => this.#fail(error),
    })
    this.#resources.add('signals', release)
  }

  /** Leaves as on a stop, so that nobody counts on this node, and ends for sure: whoever supervises it starts another. */
  #fail(error: unknown): void {
    this.#surroundings.logger.scope('node').error('an error that nobody handles ends the node', { error })
    process.exitCode = failedCode
    this.#surroundings.clock.after(failLimitMs, () => process.exit(failedCode))
    this.stop('stop')
  }

  #listens(setting: string, address: Address): void {
    this.#listeners[setting] = formatAddress(address)
    this.#options.report(`${`${setting}.`.padEnd(19, '.')}${formatAddress(address)}`)
  }

  async #end(how: 'stop' | 'quit'): Promise<void> {
    const logger = this.#surroundings.logger.scope('node')
    logger.info('stopping', { how })
    // Told while it drains, so that nobody counts on this node; that it has left is told when it has.
    const told = this.#agent.cluster.announceLeave()
    await (how === 'quit' ? this.#workers.drain() : this.#workers.stop())
    await told
    logger.info('stopped')
    await this.#resources.release()
  }

  /** Reads the configuration again and applies what can be applied; a fault changes nothing. */
  #reload(): Promise<Reloaded> {
    const reloaded = this.#reloading.then(() => this.#reloadNow())
    this.#reloading = reloaded.catch(() => undefined)
    return reloaded
  }

  async #reloadNow(): Promise<Reloaded> {
    const { configPath, env = process.env } = this.#options
    const { config } = await loadConfig({ path: configPath, env })
    const proxySetup = await this.#readProxySetup(config)
    const plugins = await loadPlugins(config.customPlugins, configPath, proxySetup.pluginVersions)
    if (!isDeepStrictEqual(plugins, this.#plugins)) await this.#adopt(plugins)
    const adminPair = await this.#readAdminPair(config)
    await this.#workers.reload(proxySetup)
    const changed = {
      ...changedSettings(this.#config, config),
      plugins: renewed(this.#proxySetup, proxySetup),
    }
    const files = changedFiles(filesOf(this.#proxySetup, this.#adminPair), filesOf(proxySetup, adminPair))
    changed.applied.push(...files.filter((name) => !changed.applied.includes(name)))
    this.#config = config
    this.#proxySetup = proxySetup
    this.#adminPair = adminPair
    this.#plugins = plugins
    this.#agent.keep(config.log)
    this.#workers.limitStandstill(config.workerTimeoutMs)
    this.#admin.reload(this.#adminOptions(), adminPair)
    this.#surroundings.logger.scope('node').info('reloaded', changed)
    return changed
  }

  /** What other plugins bring: tables, entities, and configurations in use that must not be without their plugin. */
  async #adopt(plugins: readonly Plugin[]): Promise<void> {
    const differing = this.#agent.catalog.differing(entitiesOf(plugins))
    if (differing !== undefined) throw new LookupsChanged(differing)
    await migrateDatastore(this.#datastore, plugins, this.#surroundings, () => undefined)
    await requirePlugins(plugins, this.#agent.store)
    this.#agent.catalog.learn(entitiesOf(plugins))
  }

  #status(): NodeStatus {
    return {
      pid: process.pid,
      version: this.#version,
      name: this.#agent.cluster.name,
      uptimeMs: Math.round(systemClock.monotonic() - this.#startedAtMs),
      ready: this.#ready,
      position: this.#agent.position,
      workers: this.#workers.state,
      listeners: this.#listeners,
      datastore: this.#datastore.description,
      datastoreAnswers: this.#agent.reachability.reachable,
    }
  }

  #adminOptions(): AdminSetup {
    const { admin } = this.#config
    const { clock, random, logger } = this.#surroundings
    return {
      store: this.#agent.store,
      plugins: this.#plugins,
      publish: (written, waitMs) => this.#agent.publish(written, waitMs),
      ackTimeoutMs: this.#config.cluster.ackTimeoutMs,
      cluster: this.#agent.cluster,
      log: this.#agent.events,
      cache: this.#cacheView,
      metrics: () => this.#metrics.text(),
      status: () => ({
        connections_active: this.#workers.count('active'),
        connections_reading: this.#workers.count('reading'),
        connections_writing: this.#workers.count('writing'),
        connections_waiting: this.#workers.count('waiting'),
        connections_accepted: this.#workers.count('accepted'),
        connections_handled: this.#workers.count('handled'),
        total_requests: this.#workers.count('requests'),
      }),
      health: () => ({
        ready: this.#ready && this.#workers.running > 0,
        workers: this.#workers.state,
        datastore: { reachable: this.#agent.reachability.reachable },
        position: this.#agent.position,
      }),
      countNodes: async () => (await this.#agent.cluster.registered()).length,
      configuration: maskConfiguration(this.#config) as JsonObject,
      version: this.#version,
      hostname: hostname(),
      listens: admin.listenSsl ? [admin.listen, admin.listenSsl] : [admin.listen],
      tokens: admin.tokens,
      origins: admin.origins,
      insecure: admin.insecure,
      logger: logger.scope('admin'),
      clock,
      random,
    }
  }

  /** @throws {CertificateUnusable} */
  async #readProxySetup({ proxy, customPlugins }: Config): Promise<ProxySetup> {
    const { connectTimeoutMs, sendTimeoutMs, readTimeoutMs, minPositionWaitMs, trustedIps } = proxy
    const { heldBytesMax, upstreamSpares, upstreamVerify, upstreamAuthorityPath: path } = proxy
    const setting = 'proxy.upstream_certificate_authority'
    return {
      pair: await this.#readPair('ssl', proxy),
      upstreamTrust: {
        authorities: path === undefined ? undefined : await readAuthorities({ setting, path }),
        verify: upstreamVerify,
      },
      ...{ connectTimeoutMs, sendTimeoutMs, readTimeoutMs, minPositionWaitMs, heldBytesMax },
      ...{ upstreamSpares, trustedIps, customPlugins, pluginDir: pluginDirOf(this.#options.configPath) },
      pluginVersions: await pluginVersions(customPlugins, this.#options.configPath),
    }
  }

  /** @throws {CertificateUnusable} */
  async #readAdminPair({ admin }: Config): Promise<KeyPair | undefined> {
    // Whether it takes HTTPS is decided at the start: a reload opens no port.
    return this.#config.admin.listenSsl && this.#readPair('admin_api_ssl', admin)
  }

  /** The pair that is named, else the node's own. */
  async #readPair(
    owner: CertificateOwner,
    { sslCertPath, sslKeyPath }: Pick<Config['proxy'], 'sslCertPath' | 'sslKeyPath'>,
  ): Promise<KeyPair> {
    return sslCertPath !== undefined && sslKeyPath !== undefined
      ? await givenPair(owner, sslCertPath, sslKeyPath, this.#surroundings)
      : await ownPair(this.#dir, this.#surroundings)
  }

  /** One that is to refuse traffic has a deadline that its threads share. */
  #makeStaleness({ maxStalenessMs, onStale }: Config['cluster']): ClusterOptions['staleness'] {
    if (maxStalenessMs === undefined) return undefined
    return { maxMs: maxStalenessMs, deadline: onStale === 'refuse' ? deadlineBuffer() : undefined }
  }

  get #cacheBytes(): number {
    return this.#config.memoryCacheSizeMb * 2 ** 20
  }
}

/** The custom plugins that there were before, with other code. */
function renewed({ pluginVersions: before }: ProxySetup, { pluginVersions: after }: ProxySetup): string[] {
  return Object.keys(after).filter((name) => name in before && before[name] !== after[name])
}

type Files = Partial<Record<SettingName, string | undefined>>

/** What is read from the files that settings name. */
function filesOf({ pair, upstreamTrust }: ProxySetup, adminPair: KeyPair | undefined): Files {
  return {
    ssl_cert_path: pair.certificate,
    ssl_key_path: pair.key,
    'proxy.upstream_certificate_authority': upstreamTrust.authorities,
    admin_api_ssl_cert_path: adminPair?.certificate,
    admin_api_ssl_key_path: adminPair?.key,
  }
}

/** Settings of which the file's content is another, although they may name the same one. */
function changedFiles(before: Files, after: Files): SettingName[] {
  return (Object.keys(after) as SettingName[]).filter((name) => before[name] !== after[name])
}

/** `<host>_<advertised address>_<id>`: says where it is, and is nobody else's. */
function newNodeName(advertised: string): string {
  return `${hostname()}_${advertised}_${systemRandom.hex(16)}`
}
