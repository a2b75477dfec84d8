// The way back to one client that asks for another protocol. node:http lets go of such a connection, so whatever the
// answer is, it is written here, and it is the last one: another protocol, or HTTP and the end.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { kinds } from '../field-names.ts'
import { Headers } from '../headers.ts'
import { headText, statusOf } from './head.ts'
import { nobody, type Reply, type ReplyWatcher } from './inbound.ts'

export class UpgradeReply implements Reply {
  watcher: ReplyWatcher = nobody
  /** As for `HttpReply`; a client that asks for another protocol has nothing more to send. */
  readonly lingersSince = Number.POSITIVE_INFINITY
  readonly #socket: Socket
  readonly #writtenBefore: number
  #state: 'open' | 'answering' | 'switched' | 'complete' = 'open'
  #inChunks = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.#writtenBefore = socket.bytesWritten
    // What breaks it also closes it.
    socket.on('error', () => {})
    socket.on('drain', () => {
      if (this.open) this.watcher.drained()
    })
    socket.once('close', () => this.watcher.closed(this.#state === 'complete' && socket.writableFinished))
  }

  get open(): boolean {
    return (this.#state === 'open' || this.#state === 'answering') && !this.#socket.destroyed
  }

  get bytesSent(): number {
    return this.#socket.bytesWritten - this.#writtenBefore
  }

  readonly isUploading = false
  readonly isHeardOut = true

  /** Whether the client has to take more, be it of the answer or of another protocol. */
  get isDownloading(): boolean {
    return this.#socket.writableLength > 0
  }

  inform(status: number, headers: Headers): void {
    if (this.#state !== 'open' || this.#socket.writableNeedDrain) return
    this.#socket.write(headText(status, undefined, headers), 'latin1')
  }

  head(given: number, reason: string | undefined, headers: Headers): void {
    if (!this.open) return
    const status = statusOf(given)
    const counted = headers.fields.some((field) => (field.kinds & kinds.contentLength) !== 0)
    this.#inChunks = !counted && status !== 204 && status !== 304
    const said = headers.copy()
    if (this.#inChunks) said.append('Transfer-Encoding', 'chunked')
    said.append('Connection', 'close')
    this.#state = 'answering'
    this.#socket.write(headText(status, reason, said), 'latin1')
  }

  write(chunk: Uint8Array): boolean {
    if (!this.open || chunk.length === 0) return true
    if (!this.#inChunks) return this.#socket.write(chunk)
    this.#socket.cork()
    this.#socket.write(`${chunk.length.toString(16)}\r\n`)
    this.#socket.write(chunk)
    const more = this.#socket.write('\r\n')
    this.#socket.uncork()
    return more
  }

  end(trailers: readonly string[] = []): void {
    if (!this.open) return
    if (this.#inChunks) {
      const lines = Headers.from(trailers).fields.map(({ line }) => line)
      this.#socket.write(`0\r\n${lines.join('')}\r\n`, 'latin1')
    }
    this.#state = 'complete'
    this.#socket.destroySoon()
  }

  switchTo(protocol: string, headers: Headers): Duplex | undefined {
    if (!this.open) return undefined
    const said = headers.copy()
    said.append('Connection', 'Upgrade')
    said.append('Upgrade', protocol)
    this.#state = 'switched'
    this.#socket.write(headText(101, undefined, said), 'latin1')
    return this.#socket
  }

  /** Never: the request was complete when it came. */
  spoil(): void {}

  cut(): void {
    this.#socket.destroy()
  }
}
