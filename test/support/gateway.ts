// A data plane in this process: real sockets at both ends, a scripted catalog in the middle, and rows for it.
import type { Clock } from '../../src/base/clock.ts'
import type { JsonObject, Row } from '../../src/base/json.ts'
import type { LogFields, Logger } from '../../src/base/logger.ts'
import type { Counters, Plugin, Writer } from '../../src/plugins/plugin.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import type { HttpInbound } from '../../src/proxy/inbound/http-inbound.ts'
import type { ClientLimits } from '../../src/proxy/inbound/limits.ts'
import type { TlsOptions } from '../../src/proxy/inbound/tls-server.ts'
import type { HttpOutboundOptions } from '../../src/proxy/outbound/http-outbound.ts'
import { DataPlane } from '../../src/testing/data-plane.ts'
import { certificate, certificateKey } from './certificate.ts'
import type { Lane } from './lanes.ts'

export interface TestGatewayOptions {
  readonly plugins?: readonly Plugin[]
  /** What plugins are told the time by. Default: the system's. */
  readonly pluginClock?: Clock
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
  /** Default: the fast one. */
  readonly lane?: Lane
  /** With which plugins count requests. */
  readonly counting?: Counters
  /** With which plugins write; by default no row is found. */
  readonly writer?: Writer
  /** Of the listener for TLS; by default it has the certificate of the tests. */
  readonly tls?: Partial<TlsOptions>
}

export class TestGateway extends DataPlane {
  readonly lines: { sentence: string; fields: LogFields }[]
  declare readonly tlsInbound: HttpInbound
  #ids = 0

  constructor(options: TestGatewayOptions = {}) {
    const lines: { sentence: string; fields: LogFields }[] = []
    super({
      ...options,
      plugins: [...shippedPlugins, ...(options.plugins ?? [])],
      logger: collect(lines),
      limits: limitsOf(options),
      fastLane: options.lane !== 'ordinary',
      tls: { pair: { certificate, key: certificateKey }, ...options.tls },
    })
    this.lines = lines
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
