// Where connections wait until they have shown who they are: few, and not for long.
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../base/clock.ts'

/**
 * A connection has this long from its first packet to the end of its hello. Nodes need three round trips; more is
 * kinder to slow links, and lets each stranger hold a place for longer.
 */
const graceMs = 3000

/**
 * Places. When all are taken the oldest has to go, not the newest: a node needs some ms to get through, so to keep
 * it out a stranger would have to come ten thousand times a second, and not 64 times in three seconds.
 */
const placesMax = 64

/** Told who did not get through. */
type Lost = (reason: 'too-slow' | 'too-many' | 'no-handshake', from: string) => void

export class Gate {
  readonly #clock: Clock
  readonly #lost: Lost
  /** By remote address and port, oldest first. */
  readonly #waiting = new Map<string, { socket: Socket; timer: Timer }>()

  constructor(clock: Clock, lost: Lost) {
    this.#clock = clock
    this.#lost = lost
  }

  get size(): number {
    return this.#waiting.size
  }

  enter(socket: Socket): void {
    const from = addressOf(socket)
    const [oldest] = this.#waiting.keys()
    if (this.#waiting.size >= placesMax && oldest !== undefined) this.#showOut(oldest, 'too-many')
    const timer = this.#clock.after(graceMs, () => this.#showOut(from, 'too-slow'))
    this.#waiting.set(from, { socket, timer })
    socket.once('close', () => {
      if (this.#waiting.get(from)?.socket !== socket) return
      this.pass(from)
      this.#lost('no-handshake', from)
    })
  }

  /** It has shown who it is, or was refused: it has no place here any more. @returns whether it had one */
  pass(from: string): boolean {
    this.#waiting.get(from)?.timer.cancel()
    return this.#waiting.delete(from)
  }

  close(): void {
    for (const [from, { socket }] of this.#waiting) {
      this.pass(from)
      socket.destroy()
    }
  }

  #showOut(from: string, reason: 'too-slow' | 'too-many'): void {
    const waiting = this.#waiting.get(from)
    this.pass(from)
    this.#lost(reason, from)
    waiting?.socket.destroy()
  }
}

/** The other end of a connection; the same before and after TLS, which has a socket of its own. */
export function addressOf(socket: Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`
}
