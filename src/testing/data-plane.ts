// A data plane in this process: real sockets at both ends, a scripted catalog in the middle.
import { type Clock, systemClock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { systemRandom } from '../base/random.ts'
import { LocalCounters, localCountersBuffer } from '../node/counters/local-counters.ts'
import { type Counters, definePlugin, type LogRecord, type Plugin, type Writer } from '../plugins/plugin.ts'
import { counterCount } from '../proxy/counters.ts'
import { HttpInbound } from '../proxy/inbound/http-inbound.ts'
import type { Handler } from '../proxy/inbound/inbound.ts'
import type { ClientLimits } from '../proxy/inbound/limits.ts'
import type { TlsOptions } from '../proxy/inbound/tls-server.ts'
import { AnyOutbound } from '../proxy/outbound/any-outbound.ts'
import type { HttpOutboundOptions } from '../proxy/outbound/http-outbound.ts'
import { createProxy, type Gateway } from '../proxy/proxy.ts'
import { Router } from '../proxy/router.ts'
import { ScriptedCatalog } from './scripted-catalog.ts'

export interface DataPlaneOptions {
  /** All that it has, the shipped ones among them. */
  readonly plugins: readonly Plugin[]
  readonly logger: Logger
  /** What plugins are told the time by. Default: the system's. */
  readonly pluginClock?: Clock
  readonly trustedIps?: readonly string[] | undefined
  /** Default 1,000. */
  readonly minPositionWaitMs?: number | undefined
  /** Default: the proxy's. */
  readonly heldBytesMax?: number | undefined
  readonly outbound?: Omit<HttpOutboundOptions, 'clock'> | undefined
  readonly limits?: Partial<ClientLimits> | undefined
  readonly graceMs?: number | undefined
  /** Whether plain requests go the fast lane. Default true. */
  readonly fastLane?: boolean | undefined
  /** With which plugins count requests. Default: in this process. */
  readonly counting?: Counters | undefined
  /** With which plugins write. Default: by none, since there is nowhere to write to. */
  readonly writer?: Writer | undefined
  /** Of a listener for TLS; without it there is none. */
  readonly tls?: TlsOptions | undefined
}

/** What a node's log would call it. */
const version = '1.2.3'
/** Callers that plugins can count at once. */
const countedMax = 1000
/** The plugin that keeps records; an API that is to have them is configured with it. */
export const recorderName = 'recorder'

export class DataPlane {
  readonly router = new Router()
  readonly catalog = new ScriptedCatalog(this.router)
  readonly counters = new Float64Array(counterCount)
  readonly records: LogRecord[] = []
  readonly inbound: HttpInbound
  readonly tlsInbound: HttpInbound | undefined
  readonly outbound: AnyOutbound
  readonly gateway: Gateway
  #port = 0
  #tlsPort = 0
  #recorded: (() => void)[] = []

  constructor(options: DataPlaneOptions) {
    const { logger, pluginClock = systemClock } = options
    const clock = systemClock
    this.outbound = new AnyOutbound({ clock, counters: this.counters, ...options.outbound })
    this.gateway = createProxy({
      catalog: this.catalog,
      router: this.router,
      plugins: [...options.plugins, this.#recorder()],
      host: {
        logger,
        clock: pluginClock,
        random: systemRandom,
        counters: options.counting ?? countersOf(pluginClock, logger),
        writer: options.writer ?? noWriter,
      },
      outbound: this.outbound,
      trustedIps: options.trustedIps ?? [],
      minPositionWaitMs: options.minPositionWaitMs ?? 1000,
      heldBytesMax: options.heldBytesMax,
      version,
      counters: this.counters,
      logger,
      clock,
    })
    const handler: Handler = this.gateway.handle
    const inboundOptions = {
      ...{ handler, clock, logger, product: `troop/${version}`, counters: this.counters },
      ...{ limits: options.limits ?? {}, graceMs: options.graceMs ?? 1000 },
      fastLane: options.fastLane ?? true,
    }
    const { contextFor } = this.gateway
    this.inbound = new HttpInbound(inboundOptions)
    this.tlsInbound =
      options.tls && new HttpInbound({ ...inboundOptions, tls: { contextFor, ...options.tls } })
  }

  async start(): Promise<this> {
    const anyPort = { host: '127.0.0.1', port: 0 }
    this.#port = (await this.inbound.start(anyPort)).port
    if (this.tlsInbound) this.#tlsPort = (await this.tlsInbound.start(anyPort)).port
    return this
  }

  get port(): number {
    return this.#port
  }

  /** Of the listener for TLS. */
  get tlsPort(): number {
    return this.#tlsPort
  }

  async stop(): Promise<void> {
    await Promise.all([this.inbound.stop(), this.tlsInbound?.stop()])
    await this.gateway.stop()
  }

  /** The `n`th record of the plugin `recorder`, once it has been made. */
  async record(n = 1): Promise<LogRecord> {
    while (this.records.length < n) await new Promise<void>((resolve) => this.#recorded.push(resolve))
    return this.records[n - 1] as LogRecord
  }

  /** A logging plugin that keeps its records here. */
  #recorder(): Plugin {
    return definePlugin({
      name: recorderName,
      priority: 1,
      phases: {
        log: (record) => {
          this.records.push(record)
          for (const resolve of this.#recorded.splice(0)) resolve()
        },
      },
    })
  }
}

/** Finds no row, and makes none. */
export const noWriter: Writer = {
  update: async () => false,
  insert: async () => {
    throw new Error('there is nothing to write to')
  },
  exchange: async () => null,
}

/** Those of a node that is alone: what all nodes count together, it counts. */
function countersOf(clock: Clock, logger: Logger): Counters {
  const local = new LocalCounters({ buffer: localCountersBuffer(countedMax), owner: 1, clock, logger })
  return { local, cluster: local }
}
