// A data plane in this process: real sockets at both ends, a scripted catalog in the middle.
import { systemClock } from '../../src/base/clock.ts'
import type { JsonObject, Row } from '../../src/base/json.ts'
import type { LogFields, Logger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import {
  type Counters,
  definePlugin,
  type LogRecord,
  type Plugin,
  type Writer,
} from '../../src/plugins/plugin.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import { counterCount } from '../../src/proxy/counters.ts'
import { HttpInbound } from '../../src/proxy/inbound/http-inbound.ts'
import type { Handler } from '../../src/proxy/inbound/inbound.ts'
import type { ClientLimits } from '../../src/proxy/inbound/limits.ts'
import type { TlsOptions } from '../../src/proxy/inbound/tls-server.ts'
import { HttpOutbound, type HttpOutboundOptions } from '../../src/proxy/outbound/http-outbound.ts'
import { createProxy, type Gateway } from '../../src/proxy/proxy.ts'
import { Router } from '../../src/proxy/router.ts'
import { certificate, certificateKey } from './certificate.ts'
import { testCounters } from './counters.ts'
import { ScriptedCatalog } from './scripted-catalog.ts'
import { noWriter } from './writer.ts'

export interface TestGatewayOptions {
  readonly plugins?: readonly Plugin[]
  readonly trustedIps?: readonly string[]
  /** Default 1,000. */
  readonly minPositionWaitMs?: number
  /** Default: the proxy's. */
  readonly heldBytesMax?: number
  readonly outbound?: Omit<HttpOutboundOptions, 'clock'>
  /** For whatever a client can take long for. */
  readonly inboundTimeoutMs?: number
  readonly limits?: Partial<ClientLimits>
  readonly graceMs?: number
  /** With which plugins count requests. */
  readonly counting?: Counters
  /** With which plugins write; by default no row is found. */
  readonly writer?: Writer
  /** Of the listener for TLS; by default it has the certificate of the tests. */
  readonly tls?: Partial<TlsOptions>
}

export class TestGateway {
  readonly router = new Router()
  readonly catalog = new ScriptedCatalog(this.router)
  readonly counters = new Float64Array(counterCount)
  readonly lines: { sentence: string; fields: LogFields }[] = []
  readonly records: LogRecord[] = []
  readonly inbound: HttpInbound
  readonly tlsInbound: HttpInbound
  readonly outbound: HttpOutbound
  readonly gateway: Gateway
  #ids = 0
  #port = 0
  #tlsPort = 0
  #recorded: (() => void)[] = []

  constructor(options: TestGatewayOptions = {}) {
    const logger = collect(this.lines)
    const clock = systemClock
    this.outbound = new HttpOutbound({ clock, counters: this.counters, ...options.outbound })
    this.gateway = createProxy({
      catalog: this.catalog,
      router: this.router,
      plugins: [...shippedPlugins, ...(options.plugins ?? []), this.#recorder()],
      host: {
        logger,
        clock,
        random: systemRandom,
        counters: options.counting ?? testCounters(),
        writer: options.writer ?? noWriter,
      },
      outbound: this.outbound,
      trustedIps: options.trustedIps ?? [],
      minPositionWaitMs: options.minPositionWaitMs ?? 1000,
      heldBytesMax: options.heldBytesMax,
      version: '1.2.3',
      counters: this.counters,
      logger,
      clock,
    })
    const handler: Handler = this.gateway.handle
    const inboundOptions = {
      ...{ handler, clock, logger, product: 'troop/1.2.3', counters: this.counters },
      ...{ limits: limitsOf(options), graceMs: options.graceMs ?? 1000 },
    }
    this.inbound = new HttpInbound(inboundOptions)
    const { contextFor } = this.gateway
    const tls = { pair: { certificate, key: certificateKey }, contextFor, ...options.tls }
    this.tlsInbound = new HttpInbound({ ...inboundOptions, tls })
  }

  async start(): Promise<this> {
    this.#port = (await this.inbound.start({ host: '127.0.0.1', port: 0 })).port
    this.#tlsPort = (await this.tlsInbound.start({ host: '127.0.0.1', port: 0 })).port
    return this
  }

  /** Of the listener for TLS. */
  get tlsPort(): number {
    return this.#tlsPort
  }

  get port(): number {
    return this.#port
  }

  async stop(): Promise<void> {
    await Promise.all([this.inbound.stop(), this.tlsInbound.stop()])
    await this.gateway.stop()
  }

  addApi(row: Row): Row {
    const id = this.#id()
    const defaults = {
      request_host: null,
      request_path: null,
      strip_request_path: false,
      preserve_host: false,
    }
    const api = { id, created_at: 1000, name: `api-${id}`, ...defaults, ...row }
    this.catalog.put('apis', api)
    return api
  }

  /** @param api  null for all of them */
  addPlugin(api: Row | null, name: string, config: JsonObject = {}, consumer: Row | null = null): Row {
    const ids = { id: this.#id(), created_at: 1000, api_id: (api?.id ?? null) as string | null }
    const row = { ...ids, name, consumer_id: (consumer?.id ?? null) as string | null, config, enabled: true }
    this.catalog.put('plugins', row)
    return row
  }

  addConsumer(username: string | null, custom_id: string | null = null): Row {
    const consumer = { id: this.#id(), created_at: 1000, username, custom_id }
    this.catalog.put('consumers', consumer)
    return consumer
  }

  addKey(consumer: Row, key: string): Row {
    return this.addCredential('keyauth_credentials', consumer, { key })
  }

  addCredential(entity: string, consumer: Row, attributes: JsonObject): Row {
    const row = { id: this.#id(), created_at: 1000, consumer_id: consumer.id as string, ...attributes }
    this.catalog.put(entity, row)
    return row
  }

  /** The `n`th record of the plugin `recorder`, once it has been made. */
  async record(n = 1): Promise<LogRecord> {
    while (this.records.length < n) await new Promise<void>((resolve) => this.#recorded.push(resolve))
    return this.records[n - 1] as LogRecord
  }

  /** A logging plugin that keeps its records here. */
  #recorder(): Plugin {
    return definePlugin({
      name: 'recorder',
      priority: 1,
      phases: {
        log: (record) => {
          this.records.push(record)
          for (const resolve of this.#recorded.splice(0)) resolve()
        },
      },
    })
  }

  #id(): string {
    this.#ids++
    return `00000000-0000-4000-8000-${String(this.#ids).padStart(12, '0')}`
  }
}

function limitsOf({ inboundTimeoutMs: ms, limits }: TestGatewayOptions): Partial<ClientLimits> {
  if (ms === undefined) return { ...limits }
  const pacing = { graceMs: ms, bytesPerSecond: 0 }
  return { headMs: ms, idleMs: ms, upload: pacing, download: pacing, ...limits }
}

export function collect(lines: { sentence: string; fields: LogFields }[]): Logger {
  const line = (sentence: string, fields: LogFields = {}) => void lines.push({ sentence, fields })
  const logger: Logger = { scope: () => logger, debug: line, info: line, warn: line, error: line }
  return logger
}
