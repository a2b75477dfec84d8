// One connection of a client: what it is in the middle of, and for how long it has been.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Counter } from '../counters.ts'
import type { RefusalReason } from '../errors.ts'
import type { Answer } from '../request.ts'
import type { Reply } from './inbound.ts'
import type { ClientLimits } from './limits.ts'
import { Pace } from './pace.ts'

/** A reply as its connection sees it. */
export interface ClientReply extends Reply {
  /** When it was complete, on the monotonic clock, while the client still sent; else Infinity. */
  readonly lingersSince: number
  /** Whether the client has to send more of its body. */
  readonly isUploading: boolean
  /** Whether the client has to take more of the reply, or of what the system holds before it. */
  readonly isDownloading: boolean
  /** Whether the client has said all that it had announced. */
  readonly isHeardOut: boolean
  /** The rest of the request will not come, or can't be read. */
  spoil(answer: Answer): void
}

/** Over the time that clients are told, so that a request which is on its way then is not lost; node:http gives as much. */
const idleSpareMs = 1000

export class Connection {
  readonly socket: Socket
  state: Extract<Counter, 'reading' | 'writing' | 'waiting'> = 'reading'
  /** To the request in hand: those of one connection are taken one after the other (RFC 9112, 9.3.2). */
  reply: ClientReply | undefined
  /** Requests that came meanwhile. */
  readonly queue: { readonly request: IncomingMessage; readonly response: ServerResponse }[] = []
  /** Requests that came after something was refused, and are nobody's. */
  ignored = 0
  /** Why nothing more is taken from this client. */
  refusal: RefusalReason | undefined
  /** Whether the fast lane reads it: all that came so far was plain, and no head has come in part. */
  isFast = false
  readonly #upload = new Pace()
  readonly #download = new Pace()
  /** Since when a head is on its way; undefined: none is. */
  #headSince: number | undefined
  /** Read when the last head was complete, or the connection was made. */
  #bytesBeforeHead: number
  /** Whether the ordinary lane was given the beginning of a head, and has not said more of it yet. */
  #isHeadBegun = false
  /** Whether the request in hand was not looked at yet. */
  #isNew = false
  /** Since when it is known to be idle, in the fast lane. */
  #idleSince: number | undefined
  /** Since when all is said. */
  #endedSince: number | undefined

  constructor(socket: Socket, now: number) {
    this.socket = socket
    this.#headSince = now
    this.#bytesBeforeHead = socket.bytesRead
  }

  /** Its head is complete. */
  begin(reply: ClientReply): void {
    this.reply = reply
    this.#isHeadBegun = false
    this.#isNew = true
  }

  /** What is read from now on is the next head. */
  rest(): void {
    this.#headSince = undefined
    this.#idleSince = undefined
    if (!this.isFast) this.#bytesBeforeHead = this.#isHeadBegun ? -1 : this.socket.bytesRead
  }

  /** What the fast lane has read of the next head, and all that follows, is for the ordinary lane. */
  leaveFastLane(): void {
    this.isFast = false
    this.#isHeadBegun = true
    this.#bytesBeforeHead = -1
  }

  /** Says a last word. Closed at once, the connection could be reset by what is still on its way, and the word lost. */
  end(text: string, now: number): void {
    this.#endedSince = now
    this.socket.end(text, 'latin1')
    this.socket.resume()
  }

  /**
   * What the client takes too long for, if anything; `over` for what it can't be told. To be asked now and then: what it
   * is asked seldom is how late it may tell.
   */
  overdue(now: number, limits: ClientLimits): RefusalReason | 'over' | undefined {
    // Who goes on sending what was answered long ago is heard for half the grace; nginx gives the same 30 s.
    const endedSince = this.#endedSince ?? this.reply?.lingersSince ?? Number.POSITIVE_INFINITY
    if (now - endedSince >= limits.upload.graceMs / 2) return 'over'
    if (this.refusal) return undefined
    return this.reply ? this.#slowBody(this.reply, now, limits) : this.#slowHead(now, limits)
  }

  #slowHead(now: number, { headMs, idleMs }: ClientLimits): RefusalReason | 'over' | undefined {
    const isSilent = this.isFast || this.socket.bytesRead === this.#bytesBeforeHead
    if (isSilent && this.state === 'waiting') {
      // In the ordinary lane it is node:http that bounds how long.
      if (!this.isFast) return undefined
      this.#idleSince ??= now
      return now - this.#idleSince < idleMs + idleSpareMs ? undefined : 'over'
    }
    this.#headSince ??= now
    if (now - this.#headSince < headMs) return undefined
    // Of those who never said a word some only look whether the port is open, and others keep one in store.
    return isSilent ? 'over' : 'slow-head'
  }

  #slowBody(reply: ClientReply, now: number, limits: ClientLimits): RefusalReason | 'over' | undefined {
    const { bytesRead } = this.socket
    // Looked at for the first time: most requests never are, so they need not be counted for when they begin.
    const isNew = this.#isNew
    this.#isNew = false
    if (isNew || !reply.isUploading) this.#upload.restart(bytesRead, now)
    else if (this.#upload.isTooSlow(bytesRead, now, limits.upload)) return 'slow-upload'
    if (isNew || !reply.isDownloading) this.#download.restart(this.#bytesTaken, now)
    else if (this.#download.isTooSlow(this.#bytesTaken, now, limits.download)) return 'slow-download'
    return undefined
  }

  /** What the system has taken for the client. */
  get #bytesTaken(): number {
    return this.socket.bytesWritten - this.socket.writableLength
  }
}
