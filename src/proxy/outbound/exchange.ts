// One request to an upstream and the answer to it.

import { codeOf, describeError } from '../../base/errors.ts'
import type { Pending, WriteBatch } from '../../base/write-batch.ts'
import type { Counters } from '../counters.ts'
import { UpstreamFailed, type UpstreamFailureReason } from '../errors.ts'
import type { Headers } from '../headers.ts'
import { reasonOf } from './failure.ts'
import type { Exchange, OutboundRequest, Receiver } from './outbound.ts'
import type { Customer, Pool } from './pool.ts'
import { requestHead, trailerText } from './request-head.ts'
import type { Malformed } from './response-parser.ts'
import type { Timeouts } from './timeouts.ts'
import { Tunnel } from './tunnel.ts'
import type { ConnectionUser, UpstreamConnection } from './upstream-connection.ts'

/** What all exchanges of an outbound have in common. */
export interface ExchangeHost {
  readonly timeouts: Timeouts
  readonly counters: Counters
  readonly writes: WriteBatch
  /** Called when this node has no descriptor or port left for a connection. */
  exhausted(): void
}

/**
 * What it waits for: a connection, the upstream to take more of the body, the client to send more of it, the
 * upstream's answer, the client to take more of that (then the upstream is not to blame), or either of them to say
 * something in the protocol that they have agreed on.
 */
type Waiting = 'socket' | 'connect' | 'send' | 'client' | 'read' | 'drain' | 'either' | 'nothing'

/** Heads before the answer. Each puts off the time that the upstream has, so some end there must be. */
const informedMax = 100

export class HttpExchange implements Exchange, ConnectionUser, Customer, Pending {
  readonly #host: ExchangeHost
  readonly #pool: Pool
  readonly #request: OutboundRequest
  readonly #receiver: Receiver
  #connection: UpstreamConnection | undefined
  readonly #head: string
  /** Whether the head is to be written to the connection that it has now. */
  #isHeadDue = false
  /** Of the body, as announced; undefined: it goes in chunks. */
  readonly #length: number | undefined
  #waiting: Waiting = 'socket'
  /** Undefined: it was not looked at since. */
  #since: number | undefined
  #bodyBytes = 0
  #isBodyEnded: boolean
  #informedTimes = 0
  #tunnel: Tunnel | undefined
  #isCountedInUse = false

  /** @throws {TypeError} as `requestHead` */
  constructor(host: ExchangeHost, pool: Pool, request: OutboundRequest, receiver: Receiver) {
    this.#host = host
    this.#pool = pool
    this.#request = request
    this.#receiver = receiver
    const { text, length } = requestHead(request)
    this.#head = text
    this.#length = length
    this.#isBodyEnded = request.body === null
  }

  get isUpgrade(): boolean {
    return this.#request.upgrade !== null
  }

  get bodyBytes(): number {
    return this.#tunnel?.bytesSent ?? this.#bodyBytes
  }

  start(): void {
    // Nothing of it is taken before there is somewhere for it to go.
    this.#request.body?.pause()
    this.#pool.serve(this)
  }

  /** Of its pool. */
  use(connection: UpstreamConnection): void {
    this.#connection = connection
    this.#isHeadDue = false
    connection.begin(this, this.#request.method)
    if (connection.isOpen) this.connected()
    else this.#wait('connect')
  }

  resume(): void {
    if (this.#waiting !== 'drain') return
    this.#wait('read')
    this.#connection?.resume()
  }

  abort(): void {
    if (!this.#settle()) return
    this.#connection?.destroy()
    this.#tunnel?.close()
  }

  /** Gives up when what it waits for has taken too long. Told seldom, it may be late by that, and is never early. */
  checkTime(now: number): void {
    if (this.#tunnel?.hasMoved()) this.#since = now
    this.#since ??= now
    const { connectMs, sendMs, readMs } = this.#host.timeouts
    const waited = now - this.#since
    if (this.#waiting === 'socket' && waited >= connectMs) {
      this.#fail('busy', `no connection to the upstream was free within ${connectMs} ms`)
    } else if (this.#waiting === 'connect' && waited >= connectMs) {
      this.#fail('connect-timeout', `the upstream took no connection within ${connectMs} ms`)
    } else if (this.#waiting === 'send' && waited >= sendMs) {
      this.#fail('send-timeout', `the upstream took nothing of the request for ${sendMs} ms`)
    } else if (this.#waiting === 'read' && waited >= readMs) {
      this.#fail('read-timeout', `the upstream sent nothing for ${readMs} ms`)
    } else if (this.#waiting === 'either' && waited >= readMs) {
      this.abort()
    }
  }

  connected(): void {
    // One that is sent again holds another, in the place of the first.
    if (!this.#isCountedInUse) this.#host.counters.add('upstreamInUse', 1)
    this.#isCountedInUse = true
    this.#isHeadDue = true
    // Some clients send their body when they have seen the answer's head. What has come of it by then goes along.
    this.#host.writes.add(this)
    const { body } = this.#request
    if (!body) {
      this.#wait('read')
      return
    }
    this.#wait('client')
    body.on('data', (chunk: Buffer) => this.#sendChunk(chunk))
    body.on('end', () => this.#sendEnd())
    body.resume()
  }

  flush(): void {
    if (this.#waiting !== 'nothing') this.#sendHead()
  }

  drained(): void {
    if (this.#waiting === 'send') this.#wait(this.#isBodyEnded ? 'read' : 'client')
    if (!this.#isBodyEnded) this.#request.body?.resume()
  }

  /** That it goes on is what 102 is for. 100 answers what only the gateway may have asked for, and it did not. */
  informed(status: number, headers: Headers): void {
    if (this.#waiting === 'nothing') return
    if (++this.#informedTimes > informedMax) {
      this.#fail('protocol', `the upstream sent more than ${informedMax} informational heads`)
      return
    }
    if (this.#waiting === 'read') this.#wait('read')
    if (status !== 100) this.#receiver.inform(status, headers)
  }

  head(status: number, reason: string, headers: Headers): void {
    if (this.#waiting === 'nothing') return
    if (status === requestTimeout && this.#isLateForSpare()) {
      this.#connection?.destroy()
      this.#pool.open(this)
      return
    }
    this.#wait('read')
    this.#receiver.head(status, reason, headers)
  }

  data(bytes: Buffer, from: number, to: number): void {
    if (this.#waiting === 'nothing') return
    const isShared = this.#connection?.sharesBuffer !== false
    if (this.#receiver.data(isShared ? copyOf(bytes, from, to) : bytes.subarray(from, to))) {
      // Unless the receiver has had enough.
      if (this.#waiting === 'read') this.#since = undefined
      return
    }
    if (this.#waiting !== 'read' && this.#waiting !== 'drain') return
    this.#wait('drain')
    this.#connection?.pause()
  }

  end(trailers: readonly string[], canGoOn: boolean): void {
    if (!this.#settle()) return
    // What the upstream did not wait for is of no use any more, nor is the connection that it was meant for.
    this.#connection?.release(canGoOn && this.#isBodyEnded)
    this.#receiver.end(trailers)
  }

  switched(protocol: string, headers: Headers, rest: Buffer): void {
    const { upgrade } = this.#request
    const connection = this.#connection
    if (this.#waiting === 'nothing' || !connection) return
    if (protocol.toLowerCase() !== upgrade) {
      this.#fail('protocol', 'the upstream switched protocols without being asked to')
      return
    }
    const tunnel = new Tunnel(connection.detach(), Buffer.from(rest))
    this.#tunnel = tunnel
    this.#wait('either')
    const client = this.#receiver.switchTo(upgrade, headers)
    if (client) tunnel.join(client)
    else this.abort()
  }

  malformed(error: Malformed): void {
    this.#fail('protocol', `what the upstream says is no answer: ${error.message}`)
  }

  closed(told: Error | undefined): void {
    if (this.#tunnel) {
      this.#settle()
      return
    }
    const error = told ?? new Error('the connection was closed')
    if (this.#mayRepeat(told)) {
      this.#pool.open(this)
      return
    }
    const reason = reasonOf(error, this.#waiting === 'connect', this.#request.upstream.encrypted)
    if (reason === 'exhausted') this.#host.exhausted()
    this.#fail(reason, `${saidOf(reason)}: ${describeError(error)}`, error)
  }

  #sendHead(): void {
    if (!this.#isHeadDue) return
    this.#isHeadDue = false
    this.#connection?.write(this.#head)
  }

  #sendChunk(chunk: Buffer): void {
    this.#bodyBytes += chunk.length
    const connection = this.#connection
    if (this.#waiting === 'nothing' || !connection || chunk.length === 0) return
    if (this.#length !== undefined && this.#bodyBytes > this.#length) {
      this.#fail('broken', 'the body is longer than its Content-Length')
      return
    }
    connection.cork()
    this.#sendHead()
    if (this.#length === undefined) connection.write(`${chunk.length.toString(16)}\r\n`)
    connection.writeBytes(chunk)
    if (this.#length === undefined) connection.write('\r\n')
    connection.uncork()
    const more = !connection.needsDrain
    if (!more) this.#request.body?.pause()
    // Once the answer comes, it is not the body that is waited for.
    if (this.#waiting === 'send' || this.#waiting === 'client') this.#wait(more ? 'client' : 'send')
  }

  #sendEnd(): void {
    this.#isBodyEnded = true
    const connection = this.#connection
    if (this.#waiting === 'nothing' || !connection) return
    if (this.#length !== undefined && this.#bodyBytes < this.#length) {
      this.#fail('broken', 'the body is shorter than its Content-Length')
      return
    }
    connection.cork()
    this.#sendHead()
    if (this.#length === undefined) connection.write(`0\r\n${trailerText(this.#request.trailers())}\r\n`)
    connection.uncork()
    // All was handed to the system: from now on the upstream has to speak.
    if (this.#waiting === 'client' || (this.#waiting === 'send' && !connection.needsDrain)) this.#wait('read')
  }

  /**
   * An idle connection may be closed by the upstream in the moment in which it is used again. If nothing came
   * back, nothing has to be sent twice but the head, and doing it twice does no harm (RFC 9110, 9.2.2), then a
   * new connection gets the request, once. If one that was opened ahead is not open yet, nothing was sent at all.
   */
  #mayRepeat(error: Error | undefined): boolean {
    const connection = this.#connection
    if (this.#waiting === 'connect') return connection?.isSpare === true
    const isClosed = error === undefined || codeOf(error) === 'ECONNRESET' || codeOf(error) === 'EPIPE'
    return isClosed && connection?.isReused === true && connection.isUntouched && this.#isHarmlessTwice
  }

  /**
   * Some upstreams say 408 before they close a connection on which no request came in time. That is no answer to the
   * one that crosses it (RFC 9110, 15.5.9: it may be repeated on a new connection).
   */
  #isLateForSpare(): boolean {
    const connection = this.#connection
    return connection?.isSpare === true && connection.isReused && this.#isHarmlessTwice
  }

  /** While nothing was sent but the head, and only if doing it twice is like doing it once. */
  get #isHarmlessTwice(): boolean {
    const { body, method } = this.#request
    return this.#waiting === 'read' && body === null && repeatable.has(method)
  }

  #fail(reason: UpstreamFailureReason, message: string, cause?: Error): void {
    if (!this.#settle()) return
    this.#connection?.destroy()
    this.#receiver.failed(new UpstreamFailed(reason, message, cause))
  }

  /** True for the first that ends it. */
  #settle(): boolean {
    if (this.#waiting === 'nothing') return false
    if (this.#waiting === 'socket') this.#pool.forget(this)
    this.#wait('nothing')
    if (this.#isCountedInUse) this.#host.counters.add('upstreamInUse', -1)
    // What the client still sends is read and forgotten, or its connection could not be used again.
    this.#request.body?.resume()
    return true
  }

  #wait(what: Waiting): void {
    this.#waiting = what
    this.#since = undefined
  }
}

function copyOf(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.allocUnsafe(to - from)
  bytes.copy(copy, 0, from, to)
  return copy
}

function saidOf(reason: UpstreamFailureReason): string {
  if (reason !== 'exhausted') return 'the upstream failed'
  return 'no descriptor or port is left for a connection to it; raise `ulimit -n`, or lower proxy.connections_max'
}

const requestTimeout = 408

const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
