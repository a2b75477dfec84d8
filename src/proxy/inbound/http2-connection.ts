// One connection of a client over HTTP/2, by node:http2: its requests, each with a reply of its own, and for how long
// it has had none. What a client may do at most is bounded here and in nghttp2 (docs/architecture.md "HTTP/2").
import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerSessionOptions,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../base/clock.ts'
import { wordsOf } from '../answer-words.ts'
import type { Counter, Counters } from '../counters.ts'
import { type RefusalReason, refusalPage } from '../errors.ts'
import { http2Version, type Incoming } from '../request.ts'
import { isGrpc } from './grpc-answer.ts'
import { Http2Body } from './http2-body.ts'
import { type Http2Head, readHead } from './http2-head.ts'
import { Http2Reply } from './http2-reply.ts'
import type { Handler } from './inbound.ts'
import type { ClientLimits } from './limits.ts'

/** What all connections of an inbound share. */
export interface Http2Parts {
  readonly clock: Clock
  readonly limits: ClientLimits
  readonly counters: Counters
  readonly handler: Handler
  /** `troop/<version>` */
  readonly product: string
  /** For requests, those of all connections together. */
  readonly room: { take(): boolean; giveBack(): void }
  /** Something that a client said was not taken, or it was too slow. */
  refused(reason: RefusalReason, peer: string | undefined, error?: Error): void
}

/** How long a client has that was told goodbye, or asked whether it has heard it. */
const goodbyeMs = 1000

/** Beyond all that a client can have opened. */
const lastStreamMax = 2 ** 31 - 1

export class Http2Connection {
  readonly #parts: Http2Parts
  readonly #socket: Socket
  readonly #session: ServerHttp2Session
  readonly #replies = new Set<Http2Reply>()
  #state: Extract<Counter, 'reading' | 'writing' | 'waiting'> = 'reading'
  /** Whether it has been told that no more requests are taken, or is about to be. */
  #isLeaving = false
  #goodbye: Timer | undefined
  /** Whether it is closed; some of its requests may end only then. */
  #isGone = false
  /** Since when it has no request. */
  #idleSince: number | undefined

  constructor(parts: Http2Parts, socket: Socket) {
    this.#parts = parts
    this.#socket = socket
    this.#idleSince = parts.clock.monotonic()
    // Who says no more can't even say that it has taken what it gets: it has gone.
    socket.allowHalfOpen = false
    this.#session = performServerHandshake(socket, sessionOptions(parts.limits))
    this.#session.on('stream', (stream, _headers, _flags, raw) => this.#take(stream, raw))
    this.#session.on('error', (error) => parts.refused(reasonOf(error), socket.remoteAddress, error))
    socket.once('close', () => {
      this.#isGone = true
      this.#goodbye?.cancel()
      parts.counters.add('active', -1)
      parts.counters.add(this.#state, -1)
    })
  }

  /**
   * Takes no more requests, but for those that are on their way: first the client is told so, and when it has heard it,
   * which of them was the last (RFC 9113, 6.8). One that has none is told that at once: nghttp2 reads no more of a connection
   * that has been told goodbye and has no request, so neither one that is on its way nor that the client has heard.
   */
  drain(): void {
    if (this.#session.closed || this.#session.destroyed) return
    if (this.#replies.size === 0) {
      this.#leave()
      return
    }
    this.#isLeaving = true
    this.#idleSince = this.#parts.clock.monotonic()
    this.#session.goaway(constants.NGHTTP2_NO_ERROR, lastStreamMax)
    this.#session.ping(() => this.#session.close())
    this.#goodbye = this.#parts.clock.after(goodbyeMs, () => this.#leave())
  }

  /** To be called now and then: ends what has taken too long. */
  check(now: number): void {
    const { limits } = this.#parts
    for (const reply of this.#replies) {
      const overdue = reply.overdue(now, limits)
      if (overdue) this.#refuse(reply, overdue)
    }
    if (this.#replies.size > 0) return
    this.#idleSince ??= now
    if (now - this.#idleSince >= this.#idleMs) this.#leave()
  }

  /** Takes no more requests. Who has none, and has been told so before, does not want to hear it. */
  #leave(): void {
    this.#isLeaving = true
    if (!this.#session.closed && !this.#session.destroyed) {
      this.#session.close()
      this.#goodbye = this.#parts.clock.after(goodbyeMs, () => this.#leave())
    } else if (this.#replies.size === 0) this.#socket.destroy()
  }

  get #idleMs(): number {
    const { headMs, idleMs } = this.#parts.limits
    if (this.#isLeaving) return goodbyeMs
    return this.#state === 'reading' ? headMs : idleMs
  }

  #take(stream: ServerHttp2Stream, raw: readonly string[]): void {
    const { limits, counters, handler, room } = this.#parts
    // Unheard, it would end the process.
    stream.on('error', () => {})
    // Some are taken back in the moment in which they are made.
    if (stream.closed) return
    if (!room.take()) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM)
      return
    }
    const head = readHead(raw, limits)
    const method = raw[raw.indexOf(':method') + 1] as string
    const body = stream.endAfterHeaders ? null : new Http2Body(stream, () => this.#askForBody(stream, raw))
    const reply: Http2Reply = new Http2Reply(stream, { method, body, isGrpc: isGrpc(raw) }, () =>
      this.#finished(reply),
    )
    this.#begin(reply)
    if (typeof head === 'string') {
      this.#refuse(reply, head)
      return
    }
    counters.add('requests', 1)
    counters.add('http2', 1)
    handler(this.#incomingOf(stream, head, body), reply)
  }

  #begin(reply: Http2Reply): void {
    this.#replies.add(reply)
    this.#idleSince = undefined
    this.#enter('writing')
  }

  #finished(reply: Http2Reply): void {
    this.#replies.delete(reply)
    this.#parts.room.giveBack()
    if (this.#replies.size > 0) return
    this.#idleSince = this.#parts.clock.monotonic()
    this.#enter('waiting')
  }

  #incomingOf(
    stream: ServerHttp2Stream,
    { method, target, headers }: Http2Head,
    body: Http2Body | null,
  ): Incoming {
    let trailers: readonly string[] = []
    stream.once('trailers', (_headers, _flags, ...[raw]: [raw?: readonly string[]]) => {
      trailers = raw ?? []
    })
    const { remoteAddress = '', localPort = 0 } = this.#socket
    return {
      ...{ method, target, httpVersion: http2Version, headers, body },
      trailers: () => trailers,
      ...{ remoteAddress, localPort, encrypted: true, upgrade: null },
      receivedAt: this.#parts.clock.now(),
    }
  }

  #askForBody(stream: ServerHttp2Stream, raw: readonly string[]): void {
    const isAsked = raw.some((name, i) => i % 2 === 0 && name === 'expect')
    if (isAsked && !stream.headersSent && !stream.destroyed) stream.additionalHeaders({ ':status': 100 })
  }

  #refuse(reply: Http2Reply, reason: RefusalReason): void {
    this.#parts.refused(reason, this.#socket.remoteAddress)
    const page = refusalPage(reason)
    if (!page) reply.cut()
    else if (reason === 'slow-upload') reply.spoil(page)
    else {
      const { headers, body } = wordsOf(page, this.#parts.product)
      this.#parts.counters.answered(page.status)
      headers.append('content-length', String(body.length))
      reply.head(page.status, undefined, headers)
      reply.write(body)
      reply.end()
    }
  }

  #enter(state: Extract<Counter, 'writing' | 'waiting'>): void {
    if (this.#isGone) return
    this.#parts.counters.add(this.#state, -1)
    this.#parts.counters.add(state, 1)
    this.#state = state
  }
}

/** Why a connection ended, by what nghttp2 says. */
function reasonOf(error: Error): RefusalReason {
  return 'errno' in error && floods.has(error.errno as number) ? 'http2-flood' : 'http2'
}

/** Callbacks that gave up: too many invalid frames, refused or reset streams; too much to answer; too many parts of a head. */
const floods = new Set([-902, -904, -905])

/**
 * Beyond what can be answered 431, and beyond what else a client may ask for, it is nghttp2 that ends the stream or the
 * connection.
 */
function sessionOptions(limits: ClientLimits): ServerSessionOptions {
  const { headBytesMax, requestLineBytesMax, fieldsMax, streamsMax } = limits
  return {
    // Each crumb of a cookie is a field of its own until they are joined.
    maxHeaderListPairs: 2 * fieldsMax,
    // As HTTP/1.1 lets fields be there twice, so may they here: what they mean is the upstream's to say.
    strictSingleValueFields: false,
    maxSessionInvalidFrames: 100,
    // In MB. By default there is room for half of what the streams of one connection may hold in both directions.
    maxSessionMemory: Math.max(10, Math.ceil(streamsMax / 4)),
    settings: {
      maxConcurrentStreams: streamsMax,
      // 32 for each field (RFC 9113, 6.5.2).
      maxHeaderListSize: headBytesMax + requestLineBytesMax + 64 * fieldsMax,
    },
  }
}
