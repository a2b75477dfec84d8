// Upstreams over HTTP/1.1, plain or TLS, on connections that are kept and reused.
import type { Clock, Timer } from '../../base/clock.ts'
import { WriteBatch } from '../../base/write-batch.ts'
import type { UpstreamUrl } from '../../entities/upstream-url.ts'
import { Counters } from '../counters.ts'
import { type ExchangeHost, HttpExchange } from './exchange.ts'
import { Names } from './names.ts'
import type { Exchange, Outbound, OutboundRequest, Receiver } from './outbound.ts'
import { type Ahead, Pool } from './pool.ts'
import { defaultTimeouts, sweepMs, type Timeouts } from './timeouts.ts'
import { Trust } from './trust.ts'

export interface HttpOutboundOptions {
  readonly clock: Clock
  readonly timeouts?: Partial<Timeouts>
  /** See counters.ts. Default: counted for nobody. */
  readonly counters?: Float64Array
  /** Finds the addresses of upstreams. Default: one for this outbound alone. */
  readonly names?: Names
  /** Whom HTTPS upstreams must be vouched for by. Default: the system's authorities. */
  readonly trust?: Trust
  /**
   * Connections to one upstream at once. More carry more slow requests; each costs a socket here and there, and
   * the ports of one address run out near 28,000. Default 4096: what waits longer than the connect timeout for
   * one is answered 503.
   */
  readonly socketsMax?: number
  /** Connections kept while idle, for each upstream. Default 256. */
  readonly idleSocketsMax?: number
  /**
   * While this thread has more connections to all upstreams together, none is kept: each takes a descriptor, of which
   * the process has so many. Default 8,192.
   */
  readonly keptMax?: number
  /** How long. Longer saves handshakes, and meets more upstreams that have closed by then. Default 30,000. */
  readonly idleMs?: number
  /**
   * Connections to an upstream in use that are open ahead of the requests that need them: see pool.ts. More spare more
   * requests the handshakes when concurrency grows; each upstream in use is kept as many more connections by each worker
   * than its requests need, and sees as many more handshakes each `idleMs`. Default 0.
   */
  readonly spares?: number
}

export class HttpOutbound implements Outbound {
  readonly #options: HttpOutboundOptions
  readonly #clock: Clock
  readonly #names: Names
  readonly #trust: Trust
  readonly #counters: Counters
  readonly #host: ExchangeHost
  readonly #ahead: Ahead = { connecting: 0 }
  /** By what they connect to. */
  readonly #pools = new Map<string, Pool>()
  /** The same by what was asked for: there are few, and a name need not be made for each request. */
  #poolOf = new WeakMap<UpstreamUrl, Pool>()
  #isStopped = false
  /** When connections were last looked at. */
  #now: number
  #sweep: Timer | undefined

  constructor(options: HttpOutboundOptions) {
    const { clock, names = new Names({ clock }), trust = new Trust() } = options
    this.#options = options
    this.#clock = clock
    this.#names = names
    this.#trust = trust
    this.#counters = new Counters(options.counters)
    this.#now = clock.monotonic()
    this.#host = {
      timeouts: { ...defaultTimeouts, ...options.timeouts },
      counters: this.#counters,
      writes: new WriteBatch(),
      // Also for whoever else in this process needs what they take.
      exhausted: () => this.#closeIdle(),
    }
  }

  send(request: OutboundRequest, receiver: Receiver): Exchange {
    const pool = this.#poolOf.get(request.upstream) ?? this.#findPool(request.upstream)
    const exchange = new HttpExchange(this.#host, pool, request, receiver)
    exchange.start()
    if (!this.#sweep) this.#schedule()
    return exchange
  }

  stop(): void {
    // Those in use are closed when they come back.
    this.#isStopped = true
    this.#closeIdle()
  }

  #closeIdle(): void {
    for (const pool of this.#pools.values()) pool.closeIdle()
  }

  #findPool(upstream: UpstreamUrl): Pool {
    const { encrypted, host, port } = upstream
    const name = `${encrypted} ${host} ${port}`
    const pool = this.#pools.get(name) ?? this.#makePool(upstream)
    this.#pools.set(name, pool)
    this.#poolOf.set(upstream, pool)
    return pool
  }

  #makePool(upstream: UpstreamUrl): Pool {
    const { socketsMax = 4096, idleSocketsMax = 256, keptMax = 8192 } = this.#options
    const { idleMs = 30_000, spares = 0 } = this.#options
    const counters = this.#counters
    const ahead = this.#ahead
    return new Pool({
      ...{ upstream, counters, socketsMax, idleSocketsMax, idleMs, spares, ahead },
      lookup: this.#names.lookup,
      trust: () => this.#trust.options,
      mayKeep: () => !this.#isStopped && counters.get('upstreamOpen') <= keptMax,
      // Those that are on their way will be open.
      mayOpenAhead: () => !this.#isStopped && counters.get('upstreamOpen') + ahead.connecting < keptMax,
      now: () => this.#now,
    })
  }

  /** One timer looks after all requests and connections: a timer for each would cost more than it is worth. */
  #schedule(): void {
    this.#now = this.#clock.monotonic()
    this.#sweep = this.#clock.after(sweepMs(this.#host.timeouts), () => {
      this.#sweep = undefined
      this.#now = this.#clock.monotonic()
      this.#lookAround()
      if (this.#pools.size > 0) this.#schedule()
    })
  }

  #lookAround(): void {
    for (const [name, pool] of this.#pools) {
      pool.sweep(this.#now)
      if (!pool.isEmpty) continue
      this.#pools.delete(name)
      // Who knew it finds the next one by its name.
      this.#poolOf = new WeakMap()
    }
  }
}
