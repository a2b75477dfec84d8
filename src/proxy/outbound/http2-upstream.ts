// One connection to an upstream over HTTP/2, by node:http2, plain (with prior knowledge) or TLS: many exchanges at once.
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import net, { isIP, type LookupFunction, type Socket } from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import type { UpstreamUrl } from '../../entities/upstream-url.ts'
import type { Counters } from '../counters.ts'

export interface Http2UpstreamParts {
  readonly upstream: UpstreamUrl
  readonly lookup: LookupFunction
  /** For TLS. */
  readonly trust: ConnectionOptions
  readonly counters: Counters
  /** Called when it is no more. */
  readonly closed: () => void
}

/** As for connections over HTTP/1.1. In ms. */
const keepAliveInitialDelay = 30_000

/** In MB: what its exchanges hold together of what the upstream does not take yet. Beyond it none begins. */
const maxSessionMemory = 64

export class Http2Upstream {
  readonly #parts: Http2UpstreamParts
  readonly #session: ClientHttp2Session
  #isOpen = false
  #requests = 0
  /** Since when it has none. */
  idleSince: number

  constructor(parts: Http2UpstreamParts, now: number) {
    this.#parts = parts
    this.idleSince = now
    const { encrypted, authority } = parts.upstream
    this.#session = http2.connect(`${encrypted ? 'https' : 'http'}://${authority}`, {
      createConnection: () => this.#connect(),
      settings: { enablePush: false },
      maxSessionMemory,
    })
    this.#session.on('connect', (_session, socket) => this.#opened(socket as Socket))
    // Those who use it are told by their streams.
    this.#session.on('error', () => {})
    this.#session.once('close', () => this.#closed())
  }

  /** Whether what is sent now may arrive. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  get requests(): number {
    return this.#requests
  }

  /** Whether the upstream takes one more request at once. */
  get hasRoom(): boolean {
    if (this.#session.closed || this.#session.destroyed) return false
    // Until it has said how many it takes, most take a hundred.
    const most = this.#isOpen ? (this.#session.remoteSettings?.maxConcurrentStreams ?? 100) : 100
    return this.#requests < most
  }

  /**
   * @param raw  names and values in turn, pseudo-header fields first
   * @throws {TypeError} for what can't be put into a head
   */
  request(raw: readonly string[], hasBody: boolean): ClientHttp2Stream {
    // One that does not wait for trailers is ended in order before it is reset, and half a body taken for all of it.
    const stream = this.#session.request(raw, { endStream: !hasBody, waitForTrailers: hasBody })
    if (this.#requests++ === 0 && this.#isOpen) this.#parts.counters.add('upstreamInUse', 1)
    return stream
  }

  /** One of its requests is through. */
  freed(now: number): void {
    this.#requests--
    this.idleSince = now
    if (this.#requests === 0 && this.#isOpen) this.#parts.counters.add('upstreamInUse', -1)
  }

  /** Takes no more requests, and closes when those that it has are through. */
  retire(): void {
    this.#session.close()
  }

  /** What it waits for will not come. */
  destroy(): void {
    this.#session.destroy()
  }

  #connect(): Socket {
    const { upstream, lookup, trust } = this.#parts
    const { host, port, encrypted } = upstream
    const options = {
      ...{ host, port, lookup, noDelay: true, keepAlive: true, keepAliveInitialDelay },
      autoSelectFamilyAttemptTimeout: 1000,
    }
    if (!encrypted) return net.connect(options)
    const servername = isIP(host) === 0 ? host : ''
    return tls.connect({ ...options, ...trust, servername, ALPNProtocols: ['h2'] })
  }

  #opened(socket: Socket): void {
    // An upstream that has no ALPN would take what comes for HTTP/1.1.
    if ('alpnProtocol' in socket && socket.alpnProtocol !== 'h2') {
      this.#session.destroy(new Error('the upstream does not agree to HTTP/2'))
      return
    }
    this.#isOpen = true
    this.#parts.counters.add('upstreamOpened', 1)
    this.#parts.counters.add('upstreamOpen', 1)
    if (this.#requests > 0) this.#parts.counters.add('upstreamInUse', 1)
  }

  #closed(): void {
    if (this.#isOpen) {
      this.#parts.counters.add('upstreamOpen', -1)
      if (this.#requests > 0) this.#parts.counters.add('upstreamInUse', -1)
    } else this.#parts.counters.add('upstreamNotOpened', 1)
    this.#isOpen = false
    this.#parts.closed()
  }
}
