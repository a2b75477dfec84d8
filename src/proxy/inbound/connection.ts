// One connection of a client: what it is in the middle of, and for how long it has been.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Counter } from '../counters.ts'
import type { RefusalReason } from '../errors.ts'
import type { HttpReply } from './http-reply.ts'
import type { ClientLimits } from './limits.ts'
import { Pace } from './pace.ts'
import type { UpgradeReply } from './upgrade-reply.ts'

export class Connection {
  readonly socket: Socket
  state: Extract<Counter, 'reading' | 'writing' | 'waiting'> = 'reading'
  /** To the request in hand: those of one connection are taken one after the other (RFC 9112, 9.3.2). */
  reply: HttpReply | UpgradeReply | undefined
  /** Requests that came meanwhile. */
  readonly queue: { readonly request: IncomingMessage; readonly response: ServerResponse }[] = []
  /** Requests that came after something was refused, and are nobody's. */
  ignored = 0
  /** Why nothing more is taken from this client. */
  refusal: RefusalReason | undefined
  readonly #upload = new Pace()
  readonly #download = new Pace()
  /** Since when a head is on its way; undefined: none is. */
  #headSince: number | undefined
  /** Read when the last head was complete, or the connection was made. */
  #bytesBeforeHead: number
  /** Since when all is said. */
  #endedSince: number | undefined

  constructor(socket: Socket, now: number) {
    this.socket = socket
    this.#headSince = now
    this.#bytesBeforeHead = socket.bytesRead
  }

  /** Its head is complete. */
  begin(reply: HttpReply | UpgradeReply, now: number): void {
    this.reply = reply
    this.#upload.restart(this.socket.bytesRead, now)
    this.#download.restart(this.#bytesTaken, now)
  }

  /** What is read from now on is the next head. */
  rest(): void {
    this.#headSince = undefined
    this.#bytesBeforeHead = this.socket.bytesRead
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

  #slowHead(now: number, { headMs }: ClientLimits): RefusalReason | 'over' | undefined {
    const isSilent = this.socket.bytesRead === this.#bytesBeforeHead
    // The idle time of a connection that has had a request is bounded by node:http.
    if (isSilent && this.state === 'waiting') return undefined
    this.#headSince ??= now
    if (now - this.#headSince < headMs) return undefined
    // Of those who never said a word some only look whether the port is open, and others keep one in store.
    return isSilent ? 'over' : 'slow-head'
  }

  #slowBody(
    reply: HttpReply | UpgradeReply,
    now: number,
    limits: ClientLimits,
  ): RefusalReason | 'over' | undefined {
    const { bytesRead } = this.socket
    if (!reply.isUploading) this.#upload.restart(bytesRead, now)
    else if (this.#upload.isTooSlow(bytesRead, now, limits.upload)) return 'slow-upload'
    if (!reply.isDownloading) this.#download.restart(this.#bytesTaken, now)
    else if (this.#download.isTooSlow(this.#bytesTaken, now, limits.download)) return 'slow-download'
    return undefined
  }

  /** What the system has taken for the client. */
  get #bytesTaken(): number {
    return this.socket.bytesWritten - this.socket.writableLength
  }
}
