// One request to an upstream and the answer to it, on node:http.
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { codeOf, describeError } from '../../base/errors.ts'
import type { Counters } from '../counters.ts'
import { UpstreamFailed, type UpstreamFailureReason } from '../errors.ts'
import { reasonOf } from './failure.ts'
import type { Exchange, OutboundRequest, Receiver } from './outbound.ts'
import { Tunnel } from './tunnel.ts'

export interface Timeouts {
  /** For a free connection and the handshakes on a new one. */
  readonly connectMs: number
  /** Between two successful writes of the request. */
  readonly sendMs: number
  /**
   * Between the request's last byte and the answer's first, and between any two reads of the answer. In another
   * protocol: between any two reads or writes.
   */
  readonly readMs: number
}

export interface ExchangeParts {
  readonly request: OutboundRequest
  readonly receiver: Receiver
  readonly clock: Clock
  readonly timeouts: Timeouts
  readonly counters: Counters
  /** @throws {TypeError} for a head that can't be written */
  readonly open: (reuse: boolean) => ClientRequest
  /** Called when this node has no descriptor or port left for a connection. */
  readonly exhausted: () => void
  /** Called once, when nothing more will happen. */
  readonly done: () => void
}

/**
 * What it waits for: a connection, the upstream to take more of the body, the client to send more of it, the
 * upstream's answer, the client to take more of that (then the upstream is not to blame), or either of them to say
 * something in the protocol that they have agreed on.
 */
type Waiting = 'socket' | 'connect' | 'send' | 'client' | 'read' | 'drain' | 'either' | 'nothing'

/** Heads before the answer. Each puts off the time that the upstream has, so some end there must be. */
const informedMax = 100

export class HttpExchange implements Exchange {
  readonly #parts: ExchangeParts
  #outgoing!: ClientRequest
  #response: IncomingMessage | undefined
  #waiting: Waiting = 'socket'
  #since = 0
  #bodyBytes = 0
  #bodyEnded: boolean
  #informedTimes = 0
  /** Of the connection when this request got it, to tell whether anything came back. */
  #bytesReadBefore = 0
  #tunnel: Tunnel | undefined
  #countedInUse = false

  constructor(parts: ExchangeParts) {
    this.#parts = parts
    this.#bodyEnded = parts.request.body === null
  }

  get bodyBytes(): number {
    return this.#tunnel?.bytesSent ?? this.#bodyBytes
  }

  /** @throws {TypeError} as `open`; then nothing was sent */
  start(): void {
    this.#open(true)
    const { body } = this.#parts.request
    if (!body) {
      this.#outgoing.end()
      return
    }
    body.on('data', (chunk: Buffer) => this.#sendChunk(chunk))
    body.on('end', () => this.#sendEnd())
    // Some clients send their body when they have seen the answer's head. What has come of it by then goes along.
    queueMicrotask(() => this.#sendHead())
  }

  resume(): void {
    if (this.#waiting !== 'drain') return
    this.#wait('read')
    this.#response?.resume()
  }

  abort(): void {
    if (!this.#settle()) return
    this.#outgoing.destroy()
    this.#tunnel?.close()
  }

  /** Told the time now and then; gives up when what it waits for has taken too long. */
  checkTime(now: number): void {
    const { connectMs, sendMs, readMs } = this.#parts.timeouts
    if (this.#tunnel?.hasMoved()) this.#since = now
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

  #open(reuse: boolean): void {
    this.#wait('socket')
    const outgoing = this.#parts.open(reuse)
    this.#outgoing = outgoing
    outgoing.on('socket', (socket) => this.#connecting(socket))
    outgoing.on('drain', () => this.#takeMore())
    outgoing.on('finish', () => this.#sent())
    outgoing.on('information', ({ statusCode, rawHeaders }) => this.#informed(statusCode, rawHeaders))
    outgoing.on('response', (response) => this.#answered(response))
    outgoing.on('upgrade', (response, socket: Socket, head: Buffer) => this.#switched(response, socket, head))
    outgoing.on('error', (error) => this.#broke(outgoing, error))
    // A connection that just ends may leave no error of its own.
    outgoing.on('close', () => this.#broke(outgoing))
  }

  #connecting(socket: Socket): void {
    this.#bytesReadBefore = socket.bytesRead
    if (this.#outgoing.reusedSocket) this.#parts.counters.add('upstreamReused', 1)
    else countOpening(socket, this.#parts.counters)
    if (!socket.connecting) {
      this.#connected()
      return
    }
    this.#wait('connect')
    socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => this.#connected())
  }

  #connected(): void {
    if (this.#waiting !== 'socket' && this.#waiting !== 'connect') return
    // One that is sent again holds another, in the place of the first.
    if (!this.#countedInUse) this.#parts.counters.add('upstreamInUse', 1)
    this.#countedInUse = true
    this.#wait(this.#bodyEnded ? 'read' : this.#outgoing.writableNeedDrain ? 'send' : 'client')
  }

  #sendHead(): void {
    if (this.#bodyBytes === 0 && !this.#bodyEnded && this.#waiting !== 'nothing')
      this.#outgoing.flushHeaders()
  }

  #sendChunk(chunk: Buffer): void {
    this.#bodyBytes += chunk.length
    if (this.#waiting === 'nothing') return
    const more = this.#outgoing.write(chunk)
    if (!more) this.#parts.request.body?.pause()
    // Before there is a connection, and once the answer comes, it is not the body that is waited for.
    if (this.#waiting === 'send' || this.#waiting === 'client') this.#wait(more ? 'client' : 'send')
  }

  #takeMore(): void {
    if (this.#waiting === 'send') this.#wait('client')
    this.#parts.request.body?.resume()
  }

  #sendEnd(): void {
    this.#bodyEnded = true
    if (this.#waiting === 'nothing') return
    const trailers = this.#parts.request.trailers()
    if (trailers.length > 0) this.#outgoing.addTrailers(pairs(trailers))
    this.#outgoing.end()
  }

  /** All was handed to the system: from now on the upstream has to speak. */
  #sent(): void {
    if (this.#waiting === 'send' || this.#waiting === 'client') this.#wait('read')
  }

  /** That it goes on is what 102 is for. 100 answers what only the gateway may have asked for, and it did not. */
  #informed(status: number, headers: readonly string[]): void {
    if (++this.#informedTimes > informedMax) {
      this.#fail('protocol', `the upstream sent more than ${informedMax} informational heads`)
      return
    }
    if (this.#waiting === 'read') this.#wait('read')
    if (this.#waiting !== 'nothing' && status !== 100) this.#parts.receiver.inform(status, headers)
  }

  #switched(response: IncomingMessage, socket: Socket, head: Buffer): void {
    const { request, receiver } = this.#parts
    const tunnel = new Tunnel(socket, head)
    const protocol = response.headers.upgrade?.toLowerCase()
    if (this.#waiting === 'nothing' || protocol !== request.upgrade) {
      tunnel.close()
      this.#fail('protocol', 'the upstream switched protocols without being asked to')
      return
    }
    this.#tunnel = tunnel
    this.#wait('either')
    tunnel.onClose(() => this.#settle())
    const client = receiver.switchTo(protocol as string, response.rawHeaders)
    if (client) tunnel.join(client)
    else this.abort()
  }

  #answered(response: IncomingMessage): void {
    const { receiver } = this.#parts
    this.#response = response
    this.#wait('read')
    response.on('error', (error) => this.#broke(this.#outgoing, error))
    const coding = response.headers['transfer-encoding']
    // It would be lost on the way, and the client would take the body for something else.
    if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
      this.#fail('protocol', `the upstream answered with the transfer coding ${coding}`)
      return
    }
    // Listened for before the head goes on, so that what has come with it is there when the receiver sends that.
    response.on('data', (chunk: Buffer) => this.#received(response, chunk))
    response.on('end', () => this.#ended(response))
    receiver.head(response.statusCode as number, response.statusMessage ?? '', response.rawHeaders)
  }

  #received(response: IncomingMessage, chunk: Buffer): void {
    if (this.#waiting === 'nothing') return
    if (this.#parts.receiver.data(chunk)) {
      this.#wait('read')
      return
    }
    this.#wait('drain')
    response.pause()
  }

  #ended(response: IncomingMessage): void {
    // One that broke off is told by its error; whatever Node emits, it must not pass for a whole one.
    if (!response.complete || !this.#settle()) return
    // What the upstream did not wait for is of no use any more, nor is the connection that it was meant for.
    if (!this.#bodyEnded) this.#outgoing.destroy()
    this.#parts.receiver.end(response.rawTrailers)
  }

  /** @param told  none where all that is known is that the connection was closed */
  #broke(outgoing: ClientRequest, told?: Error): void {
    // A request that was given up for another attempt closes later.
    if (outgoing !== this.#outgoing || this.#tunnel || this.#waiting === 'nothing') return
    const error = told ?? new Error('the connection was closed')
    if (this.#mayRepeat(error)) {
      this.#open(false)
      this.#outgoing.end()
      return
    }
    const { request, exhausted } = this.#parts
    const reason = reasonOf(error, this.#waiting === 'connect', request.encrypted)
    if (reason === 'exhausted') exhausted()
    this.#fail(reason, `${saidOf(reason)}: ${describeError(error)}`, error)
  }

  /**
   * An idle connection may be closed by the upstream in the moment in which it is used again. If nothing came
   * back, nothing has to be sent twice but the head, and doing it twice does no harm (RFC 9110, 9.2.2), then a
   * new connection gets the request, once: that one is not used again.
   */
  #mayRepeat(error: Error): boolean {
    const { request } = this.#parts
    const closed = codeOf(error) === 'ECONNRESET' || codeOf(error) === 'EPIPE'
    const silent = this.#outgoing.socket?.bytesRead === this.#bytesReadBefore
    return (
      closed &&
      silent &&
      this.#outgoing.reusedSocket &&
      request.body === null &&
      repeatable.has(request.method)
    )
  }

  #fail(reason: UpstreamFailureReason, message: string, cause?: Error): void {
    if (!this.#settle()) return
    this.#outgoing.destroy()
    this.#parts.receiver.failed(new UpstreamFailed(reason, message, cause))
  }

  /** True for the first that ends it. */
  #settle(): boolean {
    if (this.#waiting === 'nothing') return false
    this.#wait('nothing')
    if (this.#countedInUse) this.#parts.counters.add('upstreamInUse', -1)
    this.#parts.done()
    // What the client still sends is read and forgotten, or its connection could not be used again.
    this.#parts.request.body?.resume()
    return true
  }

  #wait(what: Waiting): void {
    this.#waiting = what
    this.#since = this.#parts.clock.monotonic()
  }
}

/** What becomes of a new connection, for as long as it is there. */
function countOpening(socket: Socket, counters: Counters): void {
  let isOpen = false
  const opened = () => {
    isOpen = true
    counters.add('upstreamOpened', 1)
    counters.add('upstreamOpen', 1)
  }
  if (socket.connecting) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', opened)
  else opened()
  socket.once('close', () => {
    if (isOpen) counters.add('upstreamOpen', -1)
    else counters.add('upstreamNotOpened', 1)
  })
}

function saidOf(reason: UpstreamFailureReason): string {
  if (reason !== 'exhausted') return 'the upstream failed'
  return 'no descriptor or port is left for a connection to it; raise `ulimit -n`, or lower proxy.connections_max'
}

const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** The form in which node:http takes repeated trailer fields. */
function pairs(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] as string, raw[2 * i + 1] as string])
}
