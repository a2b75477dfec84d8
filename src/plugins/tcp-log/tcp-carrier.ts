// Records to a TCP server, a line each, over one connection that is opened again when it was lost.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { formatAddress } from '../../base/address.ts'
import { type Clock, type Timer, within } from '../../base/clock.ts'
import type { ConnectionTimes } from '../receivers.ts'
import { type Carrier, NotSent } from '../record-queue.ts'

export interface TcpCarrierOptions extends ConnectionTimes {
  readonly host: string
  readonly port: number
  readonly clock: Clock
}

export class TcpCarrier implements Carrier {
  readonly receiver: string
  readonly lanes = 1
  readonly recordsAtOnce = 1000
  /** What one failure costs. */
  readonly charsAtOnce = 64 * 1024
  readonly #options: TcpCarrierOptions
  /** Undefined when there is none, or none that can be written to. */
  #socket: Socket | undefined
  #idle: Timer | undefined
  #closed = false

  constructor(options: TcpCarrierOptions) {
    this.receiver = formatAddress(options)
    this.#options = options
  }

  async carry(records: readonly string[]): Promise<void> {
    this.#idle?.cancel()
    const socket = this.#socket ?? (await this.#open())
    await this.#inTime(socket, write(socket, records.map((record) => `${record}\r\n`).join('')))
    this.#idle = this.#options.clock.after(this.#options.keepaliveMs, () => {
      this.#leave(socket)
      socket.destroySoon()
    })
  }

  close(): void {
    this.#closed = true
    this.#idle?.cancel()
    this.#socket?.destroy(new Error('it was given up'))
  }

  async #open(): Promise<Socket> {
    if (this.#closed) throw new NotSent(new Error('nothing is sent any more'))
    const { host, port } = this.#options
    const socket = connect({ host, port })
    this.#socket = socket
    for (const event of ['end', 'error', 'close']) socket.on(event, () => this.#leave(socket))
    // A receiver has nothing to say, but if it closes, that comes after all that it said.
    socket.resume()
    try {
      await this.#inTime(socket, once(socket, 'connect'))
    } catch (error) {
      throw new NotSent(error)
    }
    return socket
  }

  /** Waits for `step`. When it fails, or takes too long, that was the end of the connection. */
  async #inTime(socket: Socket, step: Promise<unknown>): Promise<void> {
    const { clock, timeoutMs } = this.#options
    const late = () => new Error(`the receiver did not go on within ${timeoutMs} ms`)
    try {
      await within(clock, timeoutMs, step, late)
    } catch (error) {
      this.#leave(socket)
      socket.destroy()
      throw error
    }
  }

  #leave(socket: Socket): void {
    if (this.#socket === socket) this.#socket = undefined
  }
}

/** Resolves when the system has taken all of `text`: more than that no sender can know. */
function write(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(text, (error) => (error ? reject(error) : resolve()))
  })
}
