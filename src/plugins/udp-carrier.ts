// Records as UDP datagrams. What becomes of those nobody tells, but that nobody listens there, if the system says so.
import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { formatAddress } from '../base/address.ts'
import { type Clock, within } from '../base/clock.ts'
import { type Carrier, NotSent } from './record-queue.ts'

export interface UdpCarrierOptions {
  readonly host: string
  readonly port: number
  /** For looking up the name, and for the system to take a datagram. */
  readonly timeoutMs: number
  readonly clock: Clock
}

/** How records become datagrams. */
export interface Packing {
  /** More than one are joined by newlines. */
  readonly recordsAtOnce: number
  readonly charsAtOnce: number
  /** See `Carrier`. */
  readonly charsKept?: number
}

const alone: Packing = { recordsAtOnce: 1, charsAtOnce: 0 }

/** After that the name is looked up again: nothing else shows that a receiver has moved. */
const resolvedForMs = 60_000

export class UdpCarrier implements Carrier {
  readonly receiver: string
  readonly lanes = 1
  readonly recordsAtOnce: number
  readonly charsAtOnce: number
  readonly charsKept: number | undefined
  readonly #options: UdpCarrierOptions
  #socket: Socket | undefined
  /** Undefined while there is no socket and none is wanted. */
  #openedAt: number | undefined
  /** What the system said about an earlier datagram. */
  #refusal: Error | undefined
  /** Ends the step that is under way. */
  #giveUp: (error: Error) => void = () => {}
  #closed = false

  constructor(options: UdpCarrierOptions, { recordsAtOnce, charsAtOnce, charsKept }: Packing = alone) {
    this.receiver = formatAddress(options)
    this.recordsAtOnce = recordsAtOnce
    this.charsAtOnce = charsAtOnce
    this.charsKept = charsKept
    this.#options = options
  }

  async carry(records: readonly string[]): Promise<void> {
    try {
      const socket = await this.#current()
      await this.#inTime(send(socket, records.join('\n')))
    } catch (error) {
      if (isTooLong(error)) throw error
      this.#leave()
      throw new NotSent(error)
    }
  }

  close(): void {
    this.#closed = true
    this.#leave()
    this.#giveUp(new Error('it was given up'))
  }

  async #current(): Promise<Socket> {
    const refusal = this.#refusal
    this.#refusal = undefined
    if (refusal) throw refusal
    if (this.#closed) throw new Error('nothing is sent any more')
    const now = this.#options.clock.monotonic()
    if (this.#socket && now - (this.#openedAt as number) < resolvedForMs) return this.#socket
    this.#leave()
    this.#openedAt = now
    this.#socket = await this.#inTime(this.#open(now))
    return this.#socket
  }

  /** A connected socket, since only such a one is told that nobody listens. */
  async #open(openedAt: number): Promise<Socket> {
    const { host, port } = this.#options
    // No answer shows which of several addresses is the right one; many receivers have but the older kind.
    const { address, family } = await lookup(host, { order: 'ipv4first' })
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4').unref()
    socket.on('error', (error) => {
      this.#refusal = error
    })
    socket.connect(port, address)
    try {
      await once(socket, 'connect')
      // Nobody waits for it any more.
      if (this.#openedAt !== openedAt) throw new Error('it was given up')
      return socket
    } catch (error) {
      socket.close()
      this.#refusal = undefined
      throw error
    }
  }

  #inTime<T>(step: Promise<T>): Promise<T> {
    const { clock, timeoutMs } = this.#options
    const late = () => new Error(`the datagram had not gone within ${timeoutMs} ms`)
    return new Promise((resolve, reject) => {
      this.#giveUp = reject
      within(clock, timeoutMs, step, late).then(resolve, reject)
    })
  }

  #leave(): void {
    this.#socket?.close()
    this.#socket = undefined
    this.#openedAt = undefined
  }
}

/** Resolves when the system has taken it. */
function send(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(text, (error) => (error ? reject(error) : resolve()))
  })
}

/** It will never be short enough: nothing that could be tried again. */
function isTooLong(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EMSGSIZE'
}
