// The way back to one client, on node:http.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { Pending, WriteBatch } from '../../base/write-batch.ts'
import { kinds } from '../field-names.ts'
import { Headers } from '../headers.ts'
import type { Answer } from '../request.ts'
import { canHaveTrailers, headText, isBodilessStatus, latin1, phraseOf, textMax } from './head.ts'
import { nobody, type Reply, type ReplyWatcher } from './inbound.ts'

/** What all replies of an inbound lean on. */
export interface HttpReplyHost {
  readonly clock: Clock
  readonly writes: WriteBatch
  /** Asked when the head is sent: whether the connection is to be closed after it. */
  readonly isLast: () => boolean
}

export class HttpReply implements Reply, Pending {
  watcher: ReplyWatcher = nobody
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #socket: Socket
  readonly #host: HttpReplyHost
  readonly #writtenBefore: number
  #isSpoiled = false
  /** As sent. */
  #headers = new Headers()
  #isBodiless = false
  /** Whether some of the body was written. */
  #begun = false
  /** Whether the head was given to node:http, and may wait for what else this turn brings. */
  #isHeadHeld = false
  /** Whether it is in the batch. */
  #isDue = false
  /** What it waits with. */
  #first: Uint8Array | undefined
  #ended = false
  #isHungUp = false
  #closed = false
  /** When the reply was complete, on the monotonic clock, while the client still sent; else Infinity. */
  lingersSince = Number.POSITIVE_INFINITY

  constructor(request: IncomingMessage, response: ServerResponse, host: HttpReplyHost) {
    this.#request = request
    this.#response = response
    this.#socket = request.socket
    this.#host = host
    this.#writtenBefore = request.socket.bytesWritten
    response.on('drain', () => this.watcher.drained())
    response.on('error', () => response.destroy())
    response.once('close', () => this.#close(response.writableFinished))
  }

  get open(): boolean {
    return !this.#closed && !this.#ended && !this.#response.destroyed
  }

  get bytesSent(): number {
    return this.#socket.bytesWritten - this.#writtenBefore
  }

  /** Whether the client has to send more of its body. */
  get isUploading(): boolean {
    return !this.#request.complete && this.#request.readableFlowing === true
  }

  /** Whether the client has to take more of the reply, or of what the system holds before it. */
  get isDownloading(): boolean {
    return this.#socket.writableLength > 0
  }

  /** Whether the client has said all that it had announced. */
  get isHeardOut(): boolean {
    // One without a body is taken before node:http says that it is complete.
    return this.#request.complete || !hasBody(this.#request)
  }

  inform(status: number, headers: Headers): void {
    const { socket, headersSent } = this.#response
    // Without the socket, another answer has to go before; HTTP/1.0 knows no such heads (RFC 9110, 15.2).
    if (!this.open || !socket || headersSent || socket.writableNeedDrain) return
    if (this.#request.httpVersionMinor > 0) socket.write(headText(status, undefined, headers), 'latin1')
  }

  head(status: number, reason: string | undefined, headers: Headers): void {
    if (!this.open) return
    const { method, httpVersionMinor } = this.#request
    const withTrailers = httpVersionMinor > 0 && canHaveTrailers(method as string, status, headers)
    // How the body is framed is not the caller's to say.
    const dropped = withTrailers ? kinds.transferEncoding : kinds.transferEncoding | kinds.trailer
    const said = new Headers(headers.fields.filter((field) => (field.kinds & dropped) === 0))
    if (this.#isSpoiled || this.#host.isLast()) said.append('Connection', 'close')
    this.#headers = said
    this.#isBodiless = method === 'HEAD' || isBodilessStatus(status)
    this.#response.writeHead(status, phraseOf(status, reason), said.raw())
    // The body may be long in coming. If it is here already, it has been written by then, and one packet takes both.
    this.#isHeadHeld = true
    this.#flushSoon()
  }

  flush(): void {
    if (!this.#isDue) return
    this.#isDue = false
    if (!this.#ended) this.#sendHead()
    else if (!this.#isHungUp) this.#sendEnd()
  }

  #flushSoon(): void {
    if (this.#isDue) return
    this.#isDue = true
    // As FastReply does it.
    if (this.#isEncrypted) queueMicrotask(() => this.flush())
    else this.#host.writes.add(this)
  }

  get #isEncrypted(): boolean {
    return 'encrypted' in this.#socket
  }

  #sendHead(): void {
    this.#isHeadHeld = false
    if (this.open && !this.#begun) this.#flushHead()
    else if (this.open) this.#writeFirst()
  }

  #writeFirst(): boolean {
    const first = this.#first
    this.#first = undefined
    return first === undefined || this.#response.write(first)
  }

  /** As `flushHeaders` does, but for what that would write as UTF-8: heads are bytes. */
  #flushHead(): void {
    // Where there is no body there is nothing to write, not even of no length.
    if (this.#isBodiless) this.#response.flushHeaders()
    else this.#response.write('', 'latin1')
  }

  write(chunk: Uint8Array): boolean {
    if (!this.open) return true
    if (this.#isHeadHeld && !this.#begun && !this.#response.chunkedEncoding) this.#first = chunk
    else {
      this.#writeFirst()
      this.#response.write(chunk)
    }
    this.#begun = true
    return !this.#response.writableNeedDrain
  }

  end(trailers: readonly string[] = []): void {
    if (!this.open) return
    if (trailers.length > 0) this.#response.addTrailers(pairsOf(trailers))
    this.#ended = true
    if (this.#isLastWord()) this.#hangUp()
    else if (this.#isEncrypted) {
      this.#isDue = false
      this.#sendEnd()
    } else this.#flushSoon()
  }

  #sendEnd(): void {
    if (this.#first) this.#endWith(this.#first)
    else this.#response.end()
  }

  /** With the head in one text, if it is small: written as several things it would cost half as much again. */
  #endWith(chunk: Uint8Array): void {
    this.#first = undefined
    if (chunk.length <= textMax) this.#response.end(latin1(chunk), 'latin1')
    else this.#response.end(chunk)
  }

  switchTo(): undefined {}

  /** The rest of the request will not come, or can't be read. */
  spoil(answer: Answer): void {
    this.#isSpoiled = true
    if (this.open) this.watcher.spoiled(answer)
    else this.#socket.destroy()
  }

  cut(): void {
    if (this.#closed) return
    if (this.#isHeadHeld && !this.#ended) {
      // What was said may have the client see that the rest is missing.
      this.#sendHead()
      this.#socket.uncork()
    }
    this.#socket.destroy()
  }

  /** Whether the connection closes after the reply, of which all is written, while the client still sends. */
  #isLastWord(): boolean {
    if (this.isHeardOut || this.#response.socket !== this.#socket) return false
    const headers = this.#headers
    const closes =
      !this.#response.shouldKeepAlive || /(?:^|,)\s*close\s*(?:,|$)/i.test(headers.get('connection') ?? '')
    return closes && headers.has('content-length')
  }

  /**
   * Says that nothing more will come, and goes on listening for a while (RFC 9112, 9.6). Closed at once, as node:http
   * does it, the connection would be reset by what is still on its way, and with it the reply lost.
   */
  #hangUp(): void {
    this.#isHungUp = true
    this.lingersSince = this.#host.clock.monotonic()
    if (this.#first) this.#writeFirst()
    else this.#flushHead()
    // What is written may not be on its way yet: a request without a body is over at once.
    this.#request.once('close', () => this.#socket.destroySoon())
    this.#request.resume()
    this.#socket.end(() => this.#close(this.#socket.writableFinished))
  }

  #close(complete: boolean): void {
    if (this.#closed) return
    this.#closed = true
    this.watcher.closed(complete)
  }
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

/** All at once: each time that node:http is given some, it forgets those before. */
function pairsOf(raw: readonly string[]): [name: string, value: string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] as string, raw[2 * i + 1] as string])
}
