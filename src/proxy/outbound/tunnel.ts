// An upstream's connection once it speaks another protocol: bytes go through as they are, in both directions.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export class Tunnel {
  readonly #socket: Socket
  readonly #sentBefore: number
  /** In both directions, when last looked at. */
  #bytes = 0

  /** @param head  what came with the end of HTTP */
  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket
    this.#sentBefore = socket.bytesWritten
    // What breaks it also closes it.
    socket.on('error', () => {})
    if (head.length > 0) socket.unshift(head)
  }

  /** Bytes that the upstream was sent. */
  get bytesSent(): number {
    return this.#socket.bytesWritten - this.#sentBefore
  }

  /**
   * Each gets what the other says. One that has said all may still be told more, but an upstream that is closed takes the
   * client along, once that is told the rest. That the client is gone is told to whoever closes the tunnel.
   */
  join(client: Duplex): void {
    client.pipe(this.#socket).pipe(client)
    this.onClose(() => {
      if (this.#socket.readableEnded && !client.writableFinished)
        client.once('finish', () => client.destroy())
      else client.destroy()
    })
  }

  /** Whether anything went either way since this was last asked. */
  hasMoved(): boolean {
    const before = this.#bytes
    this.#bytes = this.#socket.bytesRead + this.#socket.bytesWritten
    return this.#bytes !== before
  }

  onClose(call: () => void): void {
    this.#socket.once('close', call)
  }

  close(): void {
    this.#socket.destroy()
  }
}
