// Upstreams over HTTP/1.1, plain or TLS, on node:http with connections that are kept and reused.
import http, { type ClientRequest } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import type { Clock, Timer } from '../../base/clock.ts'
import { Counters } from '../counters.ts'
import { HttpExchange, type Timeouts } from './http-exchange.ts'
import { Names } from './names.ts'
import type { Exchange, Outbound, OutboundRequest, Receiver } from './outbound.ts'
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
}

/** The contract's 60 s each. */
const defaultTimeouts: Timeouts = { connectMs: 60_000, sendMs: 60_000, readMs: 60_000 }

/** An upstream's head may be longer than Node's 16 KiB: cookies and policies grow. */
const headBytesMax = 64 * 1024

export class HttpOutbound implements Outbound {
  readonly #plain: http.Agent
  readonly #encrypted: https.Agent
  readonly #names: Names
  readonly #trust: Trust
  readonly #clock: Clock
  readonly #timeouts: Timeouts
  readonly #counters: Counters
  readonly #exchanges = new Set<HttpExchange>()
  #sweep: Timer | undefined

  constructor(options: HttpOutboundOptions) {
    const { clock, socketsMax = 4096, idleSocketsMax = 256, keptMax = 8192, idleMs = 30_000 } = options
    this.#clock = clock
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts }
    this.#counters = new Counters(options.counters)
    this.#names = options.names ?? new Names({ clock })
    this.#trust = options.trust ?? new Trust()
    const pool = {
      keepAlive: true,
      // The newest idle connection first: it is the least likely to have been closed, and the others can expire.
      scheduling: 'lifo',
      maxSockets: socketsMax,
      maxFreeSockets: idleSocketsMax,
      timeout: idleMs,
    } as const
    this.#plain = new http.Agent(pool)
    this.#encrypted = new https.Agent(pool)
    for (const agent of [this.#plain, this.#encrypted]) {
      const keep = agent.keepSocketAlive.bind(agent)
      agent.keepSocketAlive = (socket) => this.#counters.get('upstreamOpen') <= keptMax && keep(socket)
    }
  }

  send(request: OutboundRequest, receiver: Receiver): Exchange {
    const exchange: HttpExchange = new HttpExchange({
      request,
      receiver,
      clock: this.#clock,
      timeouts: this.#timeouts,
      counters: this.#counters,
      open: (reuse) => this.#open(request, reuse),
      exhausted: () => this.#closeIdle(),
      done: () => this.#exchanges.delete(exchange),
    })
    exchange.start()
    this.#exchanges.add(exchange)
    this.#schedule()
    return exchange
  }

  stop(): void {
    for (const agent of [this.#plain, this.#encrypted]) {
      // Those in use are closed when they come back; Agent.destroy would cut them.
      agent.maxFreeSockets = 0
    }
    this.#closeIdle()
  }

  /** Also for whoever else in this process needs what they take. */
  #closeIdle(): void {
    for (const { freeSockets } of [this.#plain, this.#encrypted]) {
      for (const socket of Object.values(freeSockets).flat()) socket?.destroy()
    }
  }

  /** @param reuse  false for a new connection that is closed afterwards */
  #open(request: OutboundRequest, reuse: boolean): ClientRequest {
    const { encrypted, host, port, method, target } = request
    const options = {
      host,
      port,
      method,
      path: target,
      headers: framed(request),
      setHost: false,
      maxHeaderSize: headBytesMax,
      lookup: this.#names.lookup,
      // Node gives each address of a name 250 ms before it tries the next; far away that is one round trip.
      autoSelectFamilyAttemptTimeout: 1000,
    }
    const opened = encrypted
      ? https.request({
          ...options,
          ...this.#trust.options,
          agent: reuse ? this.#encrypted : false,
          // The upstream's own name, whatever Host says; an address is no name (RFC 6066, 3).
          servername: isIP(host) === 0 ? host : '',
        })
      : http.request({ ...options, agent: reuse ? this.#plain : false })
    // All fields are kept: by default what comes after the 2,000th would silently be dropped.
    opened.maxHeadersCount = 0
    return opened
  }

  /** One timer looks after all requests: a timer for each would cost more than it is worth. */
  #schedule(): void {
    if (this.#sweep) return
    const { connectMs, sendMs, readMs } = this.#timeouts
    const everyMs = Math.min(1000, Math.max(5, Math.min(connectMs, sendMs, readMs) / 4))
    this.#sweep = this.#clock.after(everyMs, () => {
      this.#sweep = undefined
      const now = this.#clock.monotonic()
      for (const exchange of this.#exchanges) exchange.checkTime(now)
      if (this.#exchanges.size > 0) this.#schedule()
    })
  }
}

/** The header fields with the framing that fits the body, which is never left to chance. */
function framed({ method, headers, body, upgrade }: OutboundRequest): string[] {
  const raw: string[] = []
  let sized = false
  for (let i = 0; i < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase()
    const value = headers[i + 1] as string
    if (name === 'transfer-encoding') continue
    // Fields after the body need chunks to come after.
    if (name === 'trailer' && (!body || hasLength(headers))) continue
    if (name === 'content-length') {
      if (sized) continue
      sized = true
      // Zeros before it are allowed, and read as a number to another base by some.
      raw.push(headers[i] as string, value.replace(/^0+(?=\d)/, ''))
      continue
    }
    raw.push(headers[i] as string, value)
  }
  if (upgrade !== null) raw.push('Connection', 'Upgrade', 'Upgrade', upgrade)
  if (body && !sized) raw.push('Transfer-Encoding', 'chunked')
  // Node would announce chunks for a method that usually has a body.
  if (!body && !sized && !bodiless.has(method)) raw.push('Content-Length', '0')
  return raw
}

function hasLength(headers: readonly string[]): boolean {
  return headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-length')
}

const bodiless = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])
