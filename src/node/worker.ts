// The thread that serves traffic: its catalog, router, plugins and both ends of the proxy, made here and joined.
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../base/clock.ts'
import { Deadline } from '../base/deadline.ts'
import { describeError, TroopError } from '../base/errors.ts'
import { Histogram } from '../base/histogram.ts'
import type { Logger } from '../base/logger.ts'
import { LoopDelay, loopDelayBoundsMs } from '../base/loop-delay.ts'
import { ownThread } from '../base/process.ts'
import { systemRandom } from '../base/random.ts'
import { WorkerCatalog } from '../catalog/worker-catalog.ts'
import type { Counters, Writer } from '../plugins/plugin.ts'
import { loadPlugins } from '../plugins/plugins.ts'
import { ApiCounters, ApiPlaces } from '../proxy/api-counters.ts'
import { HttpInbound, type HttpInboundOptions } from '../proxy/inbound/http-inbound.ts'
import type { ContextFor } from '../proxy/inbound/tls-server.ts'
import { AnyOutbound } from '../proxy/outbound/any-outbound.ts'
import { Names } from '../proxy/outbound/names.ts'
import type { Timeouts } from '../proxy/outbound/timeouts.ts'
import { Trust } from '../proxy/outbound/trust.ts'
import { createProxy, type Gateway } from '../proxy/proxy.ts'
import { Router } from '../proxy/router.ts'
import { Whereabouts } from '../proxy/whereabouts.ts'
import { ClusterCounters } from './counters/cluster-counters.ts'
import { countingOver } from './counters/counting-link.ts'
import { LocalCounters } from './counters/local-counters.ts'
import type { Answer, FromWorker, ProxyAddresses, ProxySetup, ToWorker, WorkerSetup } from './thread.ts'
import { workerLogger } from './worker-logger.ts'
import { writingOver } from './writing-link.ts'

class ProxyWorker {
  readonly #setup: WorkerSetup
  readonly #logger: Logger
  readonly #counters: Float64Array
  readonly #apis: ApiCounters
  readonly #counting: Counters & { readonly cluster: ClusterCounters }
  readonly #writer: Writer
  readonly #router = new Router()
  readonly #catalog: WorkerCatalog
  readonly #inbound: HttpInbound
  readonly #tlsInbound: HttpInbound
  readonly #names = new Names({ clock: systemClock })
  /** Of all plugins, those before a reload too: it knows what it wrote. */
  readonly #whereabouts: Whereabouts
  #trust = new Trust()
  #gateway: Gateway | undefined

  constructor(setup: WorkerSetup, logger: Logger) {
    this.#setup = setup
    this.#logger = logger
    const { catalog: end, counts, cacheBytes: maxBytes, reusePort, version, proxy } = setup
    this.#counters = new Float64Array(counts.proxy)
    this.#whereabouts = new Whereabouts(setup.whereabouts)
    this.#apis = new ApiCounters(new ApiPlaces(setup.apiPlaces), new Float64Array(counts.apis))
    const { buffer, owner, port } = setup.counting
    const common = { clock: systemClock, logger: logger.scope('node') }
    this.#counting = {
      local: new LocalCounters({ buffer, owner, ...common }),
      cluster: new ClusterCounters({ count: countingOver(port), ...common }),
    }
    this.#writer = writingOver(setup.writing)
    new LoopDelay(systemClock, new Histogram(loopDelayBoundsMs, new Float64Array(counts.loopDelay))).start()
    this.#catalog = new WorkerCatalog({
      ...{ end, projection: this.#router, clock: systemClock, maxBytes },
      counters: new Float64Array(counts.cache),
    })
    const inboundOptions: HttpInboundOptions = {
      // Looked up for each request: a reload puts another gateway in its place, and no connection notices.
      handler: (incoming, reply) => this.#gateway?.handle(incoming, reply),
      clock: systemClock,
      logger,
      product: `troop/${version}`,
      counters: this.#counters,
      limits: setup.limits,
      fastLane: setup.fastLane,
      reusePort,
    }
    this.#inbound = new HttpInbound(inboundOptions)
    const ticketKeys = Buffer.from(setup.ticketKeys)
    const contextFor: ContextFor = (serverName) => this.#gateway?.contextFor(serverName)
    this.#tlsInbound = new HttpInbound({
      ...inboundOptions,
      tls: {
        ...{ pair: proxy.pair, contextFor, ticketKeys },
        ...{ handshakeTimeoutMs: setup.handshakeTimeoutMs, http2: setup.http2 },
      },
    })
  }

  /** Resolves once a request could be served. */
  async prepare(): Promise<void> {
    this.#gateway = await this.#makeGateway(this.#setup.proxy)
    await this.#catalog.ready
  }

  async handle(message: ToWorker): Promise<FromWorker> {
    switch (message.kind) {
      case 'open':
        return { kind: 'listening', addresses: await this.#listen(message.listen) }
      case 'reload':
        await this.#reload(message.proxy)
        return { kind: 'reloaded' }
      case 'close':
        await Promise.all(this.#inbounds.map((inbound) => (message.cut ? inbound.stop() : inbound.drain())))
        await this.#gateway?.stop()
        await this.#counting.cluster.stop()
        return { kind: 'closed' }
    }
  }

  get #inbounds(): HttpInbound[] {
    return [this.#inbound, this.#tlsInbound]
  }

  async #listen({ plain, tls }: ProxyAddresses): Promise<ProxyAddresses> {
    return { plain: await this.#inbound.start(plain), tls: await this.#tlsInbound.start(tls) }
  }

  async #reload(setup: ProxySetup): Promise<void> {
    const before = this.#gateway
    this.#tlsInbound.present(setup.pair)
    this.#gateway = await this.#makeGateway(setup)
    // Resolves when its last request is through, which nobody need wait for.
    before?.stop().catch((error) => this.#logger.error('plugins did not stop in order', { error }))
  }

  async #makeGateway(setup: ProxySetup): Promise<Gateway> {
    const { trustedIps, minPositionWaitMs, heldBytesMax, customPlugins, pluginDir, pluginVersions } = setup
    const logger = this.#logger
    const { freshness } = this.#setup
    return createProxy({
      catalog: this.#catalog,
      router: this.#router,
      plugins: await loadPlugins(customPlugins, pluginDir, pluginVersions),
      host: {
        ...{ logger, clock: systemClock, random: systemRandom },
        ...{ counters: this.#counting, writer: this.#writer },
      },
      outbound: new AnyOutbound({
        clock: systemClock,
        timeouts: timeoutsOf(setup),
        counters: this.#counters,
        names: this.#names,
        trust: this.#trustFor(setup),
        // Those that are kept take of what clients' next requests may need, at other upstreams.
        keptMax: Math.ceil(this.#setup.limits.connectionsMax / 2),
        spares: setup.upstreamSpares,
      }),
      trustedIps,
      freshness: freshness && new Deadline(freshness, systemClock),
      minPositionWaitMs,
      heldBytesMax,
      version: this.#setup.version,
      counters: this.#counters,
      apis: this.#apis,
      whereabouts: this.#whereabouts,
      logger,
      clock: systemClock,
    })
  }

  /** The one that there is, unless another is asked for: to make one takes a while. */
  #trustFor({ upstreamTrust }: ProxySetup): Trust {
    if (!this.#trust.isAs(upstreamTrust)) this.#trust = new Trust(upstreamTrust)
    return this.#trust
  }
}

function timeoutsOf({ connectTimeoutMs, sendTimeoutMs, readTimeoutMs }: ProxySetup): Timeouts {
  return { connectMs: connectTimeoutMs, sendMs: sendTimeoutMs, readMs: readTimeoutMs }
}

function tell(message: FromWorker): void {
  parentPort?.postMessage(message)
}

async function answer(to: Answer, work: () => Promise<FromWorker>): Promise<void> {
  try {
    tell(await work())
  } catch (error) {
    const hint = error instanceof TroopError ? error.hint : undefined
    tell({ kind: 'failed', to, message: describeError(error), hint })
  }
}

const answers = { open: 'listening', reload: 'reloaded', close: 'closed' } as const

const setup = workerData as WorkerSetup
const logger = workerLogger((line) => tell({ kind: 'log', line }), setup.logLevel)
const worker = new ProxyWorker(setup, logger)
parentPort?.on('message', (message: ToWorker) => {
  void answer(answers[message.kind], () => worker.handle(message))
})
void answer('ready', async () => {
  await worker.prepare()
  return { kind: 'ready', thread: ownThread() }
})
