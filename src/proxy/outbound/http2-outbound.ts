// Upstreams over HTTP/2: gRPC servers. Requests to one share its connections, each of which takes as many at once as the
// upstream says.
import type { Clock, Timer } from '../../base/clock.ts'
import type { UpstreamUrl } from '../../entities/upstream-url.ts'
import { Counters } from '../counters.ts'
import type { HttpOutboundOptions } from './http-outbound.ts'
import { Http2Exchange } from './http2-exchange.ts'
import { Http2Upstream } from './http2-upstream.ts'
import { Names } from './names.ts'
import type { Exchange, Outbound, OutboundRequest, Receiver } from './outbound.ts'
import { defaultTimeouts, sweepMs, type Timeouts } from './timeouts.ts'
import { Trust } from './trust.ts'

export type Http2OutboundOptions = Pick<
  HttpOutboundOptions,
  'clock' | 'timeouts' | 'counters' | 'names' | 'trust' | 'idleMs'
>

export class Http2Outbound implements Outbound {
  readonly #clock: Clock
  readonly #names: Names
  readonly #trust: Trust
  readonly #counters: Counters
  readonly #timeouts: Timeouts
  readonly #idleMs: number
  /** By what they connect to. */
  readonly #connections = new Map<string, Set<Http2Upstream>>()
  readonly #exchanges = new Set<Http2Exchange>()
  #isStopped = false
  #sweep: Timer | undefined

  constructor(options: Http2OutboundOptions) {
    const { clock, names = new Names({ clock }), trust = new Trust(), idleMs = 30_000 } = options
    this.#clock = clock
    this.#names = names
    this.#trust = trust
    this.#counters = new Counters(options.counters)
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts }
    this.#idleMs = idleMs
  }

  send(request: OutboundRequest, receiver: Receiver): Exchange {
    const connection = this.#connectionTo(request.upstream)
    const exchange: Http2Exchange = new Http2Exchange(
      {
        connection,
        timeouts: this.#timeouts,
        now: () => this.#clock.monotonic(),
        finished: () => {
          this.#exchanges.delete(exchange)
          if (this.#isStopped && connection.requests === 0) connection.retire()
        },
      },
      request,
      receiver,
    )
    this.#exchanges.add(exchange)
    if (!this.#sweep) this.#schedule()
    return exchange
  }

  stop(): void {
    this.#isStopped = true
    for (const connections of this.#connections.values()) {
      for (const connection of connections) if (connection.requests === 0) connection.retire()
    }
  }

  #connectionTo(upstream: UpstreamUrl): Http2Upstream {
    const name = `${upstream.encrypted} ${upstream.host} ${upstream.port}`
    const all = this.#connections.get(name) ?? new Set()
    for (const connection of all) {
      if (!connection.hasRoom) continue
      this.#counters.add('upstreamReused', 1)
      return connection
    }
    const parts = {
      ...{ upstream, lookup: this.#names.lookup, counters: this.#counters },
      trust: upstream.encrypted ? this.#trust.options : {},
      closed: () => {
        all.delete(connection)
        if (all.size === 0) this.#connections.delete(name)
      },
    }
    const connection: Http2Upstream = new Http2Upstream(parts, this.#clock.monotonic())
    all.add(connection)
    this.#connections.set(name, all)
    return connection
  }

  #schedule(): void {
    this.#sweep = this.#clock.after(sweepMs(this.#timeouts), () => {
      this.#sweep = undefined
      const now = this.#clock.monotonic()
      for (const exchange of this.#exchanges) exchange.checkTime(now)
      for (const connections of this.#connections.values()) {
        for (const connection of connections) this.#checkIdle(connection, now)
      }
      if (this.#connections.size > 0) this.#schedule()
    })
  }

  #checkIdle(connection: Http2Upstream, now: number): void {
    if (connection.requests === 0 && now - connection.idleSince >= this.#idleMs) connection.retire()
  }
}
