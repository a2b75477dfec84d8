// One request to an upstream over HTTP/2 and the answer to it, both of which may go on at once for as long as they like.
import { type ClientHttp2Stream, constants, type OutgoingHttpHeaders } from 'node:http2'
import { describeError } from '../../base/errors.ts'
import { UpstreamFailed, type UpstreamFailureReason } from '../errors.ts'
import { fieldsOf } from '../field.ts'
import { kinds } from '../field-names.ts'
import { Headers } from '../headers.ts'
import { reasonOf } from './failure.ts'
import type { Http2Upstream } from './http2-upstream.ts'
import type { Exchange, OutboundRequest, Receiver } from './outbound.ts'
import type { Timeouts } from './timeouts.ts'

export interface Http2ExchangeParts {
  readonly connection: Http2Upstream
  readonly timeouts: Timeouts
  readonly now: () => number
  /** Called once, when it is through. */
  readonly finished: (exchange: Http2Exchange) => void
}

/** Heads before the answer, as over HTTP/1.1. */
const informedMax = 100

export class Http2Exchange implements Exchange {
  readonly #parts: Http2ExchangeParts
  readonly #request: OutboundRequest
  readonly #receiver: Receiver
  readonly #stream: ClientHttp2Stream
  #bodyBytes = 0
  #informedTimes = 0
  #trailers: readonly string[] = []
  #error: Error | undefined
  #hasHead = false
  #isSettled = false
  #isDraining = false
  /** Whether the connection was there already when it was last looked at. */
  #wasOpen: boolean
  /** Since when nothing has moved; undefined: it was not looked at since. */
  #since: number | undefined

  /** @throws {TypeError} when the target can't be put into a request */
  constructor(parts: Http2ExchangeParts, request: OutboundRequest, receiver: Receiver) {
    this.#parts = parts
    this.#request = request
    this.#receiver = receiver
    this.#wasOpen = parts.connection.isOpen
    this.#stream = parts.connection.request(headOf(request), request.body !== null)
    this.#listen(this.#stream)
    if (request.body) this.#sendBody()
  }

  get bodyBytes(): number {
    return this.#bodyBytes
  }

  resume(): void {
    this.#isDraining = false
    this.#moved()
    this.#stream.resume()
  }

  abort(): void {
    if (this.#settle()) this.#stream.close(constants.NGHTTP2_CANCEL)
  }

  /** Gives up when nothing has moved for too long. Told seldom, it may be late by that, and is never early. */
  checkTime(now: number): void {
    const { connection, timeouts } = this.#parts
    if (connection.isOpen !== this.#wasOpen || this.#isDraining) this.#since = undefined
    this.#wasOpen = connection.isOpen
    this.#since ??= now
    const waited = now - this.#since
    if (!connection.isOpen && waited >= timeouts.connectMs) {
      this.#fail('connect-timeout', `the upstream took no connection within ${timeouts.connectMs} ms`)
      connection.destroy()
    } else if (connection.isOpen && waited >= timeouts.readMs) {
      this.#fail('read-timeout', `nothing came from the upstream nor went to it for ${timeouts.readMs} ms`)
      // It may be the connection that nothing gets through. Others are not to be sent there, too.
      connection.retire()
    }
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('headers', (headers, _flags, raw) => {
      const status = Number(headers[':status'])
      if (++this.#informedTimes > informedMax) {
        this.#fail('protocol', `the upstream sent more than ${informedMax} informational heads`)
        return
      }
      if (this.#goesOn() && status !== 100) this.#receiver.inform(status, headersOf(raw))
    })
    stream.on('response', (headers, flags, raw) => {
      if (!this.#goesOn()) return
      this.#hasHead = true
      this.#receiver.head(Number(headers[':status']), '', headersOf(raw))
      if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) this.#end()
    })
    stream.on('data', (chunk: Buffer) => {
      if (!this.#goesOn() || this.#receiver.data(chunk)) return
      this.#isDraining = true
      stream.pause()
    })
    stream.on('trailers', (_headers, _flags, ...[raw = []]: [raw?: readonly string[]]) => {
      this.#trailers = raw
    })
    stream.on('end', () => {
      if (!stream.rstCode && this.#hasHead) this.#end()
    })
    stream.on('error', (error) => {
      this.#error = error.cause instanceof Error ? error.cause : error
    })
    stream.once('close', () => this.#closed())
  }

  #sendBody(): void {
    const { body, trailers } = this.#request
    const stream = this.#stream
    stream.once('wantTrailers', () => {
      if (!stream.destroyed && !stream.closed) stream.sendTrailers(objectOf(trailers()))
    })
    stream.on('drain', () => {
      this.#moved()
      body?.resume()
    })
    body?.on('data', (chunk: Buffer) => {
      this.#bodyBytes += chunk.length
      if (!this.#goesOn()) return
      if (!stream.write(chunk)) body.pause()
    })
    body?.on('end', () => {
      if (this.#goesOn()) stream.end()
    })
  }

  /** Something has moved. Whether anybody still wants it. */
  #goesOn(): boolean {
    this.#moved()
    return !this.#isSettled
  }

  #moved(): void {
    this.#since = undefined
  }

  #end(): void {
    if (!this.#settle()) return
    // What the upstream did not wait for is of no use any more.
    if (!this.#stream.writableEnded) this.#stream.close(constants.NGHTTP2_CANCEL)
    this.#receiver.end(this.#trailers)
  }

  #closed(): void {
    const { connection } = this.#parts
    const error = this.#error ?? new Error(`the upstream reset the request with code ${this.#stream.rstCode}`)
    const reason = reasonOf(error, !connection.isOpen && !this.#wasOpen, this.#request.upstream.encrypted)
    this.#fail(reason, `the upstream failed: ${describeError(error)}`, error)
  }

  #fail(reason: UpstreamFailureReason, message: string, cause?: Error): void {
    if (!this.#settle()) return
    this.#stream.close(constants.NGHTTP2_CANCEL)
    this.#receiver.failed(new UpstreamFailed(reason, message, cause))
  }

  /** True for the first that ends it. */
  #settle(): boolean {
    if (this.#isSettled) return false
    this.#isSettled = true
    this.#parts.connection.freed(this.#parts.now())
    this.#parts.finished(this)
    // What the client still sends is read and forgotten; what the upstream does, too.
    this.#request.body?.resume()
    this.#stream.resume()
    return true
  }
}

/** Pseudo-header fields first; `te` says that trailers are taken, without which no gRPC server answers. */
function headOf({ upstream, method, target, headers }: OutboundRequest): string[] {
  const scheme = upstream.encrypted ? 'https' : 'http'
  let authority = upstream.authority
  const fields: string[] = []
  for (const { of, value } of headers.fields) {
    if ((of.kinds & kinds.host) !== 0) authority = value
    else if ((of.kinds & kinds.hop) === 0) fields.push(of.lower, value)
  }
  const pseudo = [':method', method, ':scheme', scheme, ':authority', authority, ':path', target]
  return [...pseudo, ...fields, 'te', 'trailers']
}

/** Of what nghttp2 has found to be fine (RFC 9113, 8.2.1). */
function headersOf(raw: readonly string[] = []): Headers {
  return new Headers(fieldsOf(raw).filter(({ name }) => !name.startsWith(':')))
}

/** Fields that are there more than once as a list: node:http2 sends each of it. */
function objectOf(raw: readonly string[]): OutgoingHttpHeaders {
  const fields: Record<string, string[]> = Object.create(null)
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] as string).toLowerCase()
    fields[name] ??= []
    fields[name].push(raw[i + 1] as string)
  }
  return fields
}
