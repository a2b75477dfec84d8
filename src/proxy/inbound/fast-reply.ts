// The way back to one client of the fast lane. What it says is, byte for byte, what HttpReply has node:http say.
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { Pending, WriteBatch } from '../../base/write-batch.ts'
import type { Field } from '../field.ts'
import { kinds } from '../field-names.ts'
import { Headers } from '../headers.ts'
import type { Answer } from '../request.ts'
import type { CountedBody } from './counted-body.ts'
import { DateLine } from './date-line.ts'
import { canHaveTrailers, headText, isBodilessStatus, latin1, phraseOf, statusOf, textMax } from './head.ts'
import { nobody, type Reply, type ReplyWatcher } from './inbound.ts'

export interface FastRepliesOptions {
  readonly clock: Clock
  readonly writes: WriteBatch
  /** What clients are told of how long an idle connection is kept. */
  readonly idleMs: number
  /** Whether connections are to be closed after the reply in hand. */
  readonly isDraining: () => boolean
}

/** What all replies of an inbound lean on. */
export class FastReplies {
  readonly clock: Clock
  readonly isDraining: () => boolean
  /** The field Date, as it is now. */
  readonly date: DateLine
  /** The field Keep-Alive, with the end of its line. */
  readonly keepAlive: string
  readonly writes: WriteBatch

  constructor({ clock, writes, idleMs, isDraining }: FastRepliesOptions) {
    this.clock = clock
    this.writes = writes
    this.isDraining = isDraining
    this.date = new DateLine(clock)
    this.keepAlive = `Keep-Alive: timeout=${Math.floor(idleMs / 1000)}\r\n`
  }
}

/** A request that a reply is for. */
export interface FastRequest {
  readonly method: string
  readonly keepsAlive: boolean
  readonly body: CountedBody | null
}

export class FastReply implements Reply, Pending {
  watcher: ReplyWatcher = nobody
  /** When the reply was complete, on the monotonic clock, while the client still sent; else Infinity. */
  lingersSince = Number.POSITIVE_INFINITY
  readonly #socket: Socket
  readonly #request: FastRequest
  readonly #replies: FastReplies
  /** Called once, when it is closed, after its watcher. */
  readonly #closed: () => void
  #state: 'open' | 'headed' | 'ended' | 'hung up' | 'closed' = 'open'
  #isSpoiled = false
  /** Whether the connection closes after it. */
  #isLast: boolean
  #isCounted = false
  #isBodiless = false
  /** What is still to be written. */
  #held = ''
  /** Whether it is in the batch. */
  #isDue = false
  #bytesSent = 0

  constructor(socket: Socket, request: FastRequest, replies: FastReplies, closed: () => void) {
    this.#socket = socket
    this.#request = request
    this.#replies = replies
    this.#closed = closed
    this.#isLast = !request.keepsAlive
  }

  get open(): boolean {
    return (this.#state === 'open' || this.#state === 'headed') && !this.#socket.destroyed
  }

  get bytesSent(): number {
    return this.#bytesSent
  }

  /** Whether the client has to send more of its body. */
  get isUploading(): boolean {
    return !this.isHeardOut && this.#request.body?.readableFlowing === true
  }

  /** Whether the client has to take more of the reply, or of what the system holds before it. */
  get isDownloading(): boolean {
    return this.#socket.writableLength > 0
  }

  /** Whether the client has said all that it had announced. */
  get isHeardOut(): boolean {
    return this.#request.body === null || this.#request.body.isComplete
  }

  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Whether it has closed its side of the connection, and waits for the client to do so. */
  get hasHungUp(): boolean {
    return this.lingersSince < Number.POSITIVE_INFINITY && this.#socket.writableEnded
  }

  /** Whether nothing that comes after the request is anybody's (RFC 9112, 9.6). */
  get isLast(): boolean {
    return this.#isLast
  }

  inform(status: number, headers: Headers): void {
    if (this.#state !== 'open' || this.#socket.destroyed || this.#socket.writableNeedDrain) return
    this.#say(headText(status, undefined, headers))
  }

  head(status: number, reason: string | undefined, headers: Headers): void {
    if (!this.open) return
    this.#held = this.#headText(status, reason, headers)
    this.#state = 'headed'
    // The body may be long in coming. What of it is here by then goes with the head.
    this.#flushSoon()
  }

  write(chunk: Uint8Array): boolean {
    if (!this.open || chunk.length === 0 || this.#isBodiless) return true
    if (this.#held.length + chunk.length > textMax) return this.#writeLarge(chunk)
    if (this.#held !== '') this.#held += this.#framed(chunk)
    else if (this.#isCounted) return this.#writeLarge(chunk)
    else this.#say(this.#framed(chunk))
    return this.#hasRoom
  }

  end(trailers: readonly string[] = []): void {
    if (!this.open) return
    const { fields } = Headers.from(trailers)
    if (this.#isInChunks) this.#held += lastChunk(fields)
    this.#state = 'ended'
    if (this.#isLast && !this.isHeardOut && this.#isCounted) {
      this.#sayHeld()
      this.#hangUp()
    } else if (this.#isEncrypted) {
      this.#isDue = false
      this.#sayLast()
    } else this.#flushSoon()
  }

  /** Writes what is held. */
  flush(): void {
    if (!this.#isDue) return
    this.#isDue = false
    if (this.#state === 'headed') this.#sayHeld()
    else if (this.#state === 'ended') this.#sayLast()
  }

  #flushSoon(): void {
    if (this.#isDue) return
    this.#isDue = true
    // That it was encrypted and written is told a turn later: put off, it would be told after the client's next request.
    if (this.#isEncrypted) queueMicrotask(() => this.flush())
    else this.#replies.writes.add(this)
  }

  get #isEncrypted(): boolean {
    return 'encrypted' in this.#socket
  }

  #sayHeld(): void {
    if (this.#held === '') return
    const text = this.#held
    this.#held = ''
    this.#say(text)
  }

  /** Says what is held, if anything, and waits until all is on its way. */
  #sayLast(): void {
    // What is to be encrypted is never written at once.
    if (!this.#isEncrypted) this.#sayHeld()
    if (this.#held === '' && this.#socket.writableLength === 0) {
      this.#complete()
      return
    }
    const text = this.#held
    this.#held = ''
    this.#bytesSent += text.length
    this.#socket.write(text, 'latin1', (error) => {
      if (!error) this.#complete()
    })
  }

  switchTo(): undefined {}

  /** The rest of the request will not come. */
  spoil(answer: Answer): void {
    this.#isSpoiled = true
    if (this.open) this.watcher.spoiled(answer)
    else this.#socket.destroy()
  }

  cut(): void {
    if (this.#state === 'closed') return
    // What was said may have the client see that the rest is missing.
    this.#sayHeld()
    this.#socket.destroy()
  }

  /** Its connection has room again. */
  drained(): void {
    if (this.open) this.watcher.drained()
  }

  /** Its connection is gone. */
  broken(): void {
    this.#close(false)
  }

  get #isInChunks(): boolean {
    return !this.#isBodiless && !this.#isCounted
  }

  get #hasRoom(): boolean {
    return this.#socket.writableLength === 0 || !this.#socket.writableNeedDrain
  }

  /** @param chunk  small enough for text */
  #framed(chunk: Uint8Array): string {
    const text = latin1(chunk)
    return this.#isCounted ? text : `${chunk.length.toString(16)}\r\n${text}\r\n`
  }

  #writeLarge(chunk: Uint8Array): boolean {
    const socket = this.#socket
    const isAlone = this.#isCounted && this.#held === ''
    if (!isAlone) socket.cork()
    if (this.#isInChunks) this.#held += `${chunk.length.toString(16)}\r\n`
    this.#sayHeld()
    this.#bytesSent += chunk.length
    socket.write(chunk)
    if (this.#isInChunks) this.#say('\r\n')
    if (!isAlone) socket.uncork()
    return this.#hasRoom
  }

  #say(text: string): void {
    if (this.#socket.destroyed) return
    this.#bytesSent += text.length
    this.#socket.write(text, 'latin1')
  }

  /** All of it is on its way. */
  #complete(): void {
    if (this.#isLast) this.#socket.destroySoon()
    this.#close(true)
  }

  /**
   * Says that nothing more will come, and goes on listening for a while (RFC 9112, 9.6). Closed at once, the
   * connection would be reset by what is still on its way, and with it the reply lost.
   */
  #hangUp(): void {
    this.#state = 'hung up'
    this.lingersSince = this.#replies.clock.monotonic()
    this.#socket.end(() => this.#close(this.#socket.writableFinished))
  }

  #close(complete: boolean): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.watcher.closed(complete)
    this.#closed()
  }

  #headText(given: number, reason: string | undefined, headers: Headers): string {
    const status = statusOf(given)
    const { method } = this.#request
    const { date, keepAlive, isDraining } = this.#replies
    /** The kinds of all that is there. */
    let said = 0
    let isLast = false
    let text = `HTTP/1.1 ${status} ${phraseOf(status, reason)}\r\n`
    for (const field of headers.fields) {
      const of = field.kinds
      if ((of & notAsGiven) !== 0) {
        // How the body is framed is not the caller's to say, nor trailers where none can come.
        if ((of & kinds.transferEncoding) !== 0) continue
        if ((of & kinds.trailer) !== 0 && !canHaveTrailers(method, status, headers)) continue
        if ((of & kinds.connection) !== 0) isLast ||= /(?:^|\W)close(?:$|\W)/i.test(field.value)
      }
      said |= of
      text += field.line
    }
    if (this.#isSpoiled || isDraining()) {
      isLast = true
      text += 'Connection: close\r\n'
    }
    if ((said & kinds.date) === 0) text += date.text
    if (isLast) this.#isLast = true
    else if ((said & kinds.connection) === 0) {
      const time = (said & kinds.keepAlive) === 0 ? keepAlive : ''
      text += this.#isLast ? 'Connection: close\r\n' : `Connection: keep-alive\r\n${time}`
    }
    this.#isCounted = (said & kinds.contentLength) !== 0
    this.#isBodiless = method === 'HEAD' || isBodilessStatus(status)
    return `${text}${this.#isInChunks ? 'Transfer-Encoding: chunked\r\n' : ''}\r\n`
  }
}

const notAsGiven = kinds.transferEncoding | kinds.trailer | kinds.connection

function lastChunk(trailers: readonly Field[]): string {
  let text = '0\r\n'
  for (const { line } of trailers) text += line
  return `${text}\r\n`
}
