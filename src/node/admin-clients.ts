// The connections of the Admin API's clients: so many at once, and none that stands still while it is sent something.
// How long a request may take to come is node:http's own matter.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { Pace, type Pacing } from '../proxy/inbound/pace.ts'
import { Repeats } from '../proxy/repeats.ts'

export interface AdminLimits {
  /** Of a request, from its first byte: to the end of its head, and to its last byte. */
  readonly headMs: number
  readonly requestMs: number
  /** Of what a client takes of its answers. */
  readonly download: Pacing
  /** On all listeners. */
  readonly connectionsMax: number
}

export const adminLimits: AdminLimits = {
  headMs: 20_000,
  // 10 MB, the most that is taken, at 90 KB a second.
  requestMs: 120_000,
  download: { graceMs: 30_000, bytesPerSecond: 500 },
  // Some hundred event streams and scrapers; at worst each holds a body of 10 MB, for as long as above.
  connectionsMax: 256,
}

interface Client {
  readonly pace: Pace
  /** Requests that were not answered yet. */
  requests: number
}

export class AdminClients {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #limits: AdminLimits
  readonly #repeats: Repeats
  /** Oldest first. */
  readonly #clients = new Map<Socket, Client>()
  #sweep: Timer | undefined

  constructor(clock: Clock, logger: Logger, limits: AdminLimits) {
    this.#clock = clock
    this.#logger = logger
    this.#limits = limits
    this.#repeats = new Repeats(clock)
  }

  /** Looks after those of a server. @param event  what tells of one that may send requests */
  watch(server: Server, event: 'connection' | 'secureConnection'): void {
    server.headersTimeout = this.#limits.headMs
    server.requestTimeout = this.#limits.requestMs
    server.on(event, (socket: Socket) => this.#enter(socket))
    server.on('request', ({ socket }, response) => {
      const client = this.#clients.get(socket)
      if (!client) return
      client.requests++
      response.once('close', () => client.requests--)
    })
  }

  stop(): void {
    this.#sweep?.cancel()
  }

  #enter(socket: Socket): void {
    if (this.#clients.size >= this.#limits.connectionsMax) this.#makeRoom(socket)
    if (socket.destroyed) return
    this.#clients.set(socket, { pace: new Pace(), requests: 0 })
    socket.once('close', () => this.#clients.delete(socket))
    this.#sweep ??= this.#later()
  }

  /** The one that has been there for longest with nothing in hand goes, or else the one that comes. */
  #makeRoom(newcomer: Socket): void {
    const [idle] = [...this.#clients].find(([, { requests }]) => requests === 0) ?? []
    const socket = idle ?? newcomer
    this.#cut(socket, 'too many connections')
    this.#clients.delete(socket)
  }

  #later(): Timer {
    const everyMs = Math.min(5000, this.#limits.download.graceMs / 4)
    return this.#clock.after(everyMs, () => {
      this.#sweep = undefined
      const now = this.#clock.monotonic()
      for (const [socket, { pace }] of this.#clients) this.#check(socket, pace, now)
      if (this.#clients.size > 0) this.#sweep = this.#later()
    })
  }

  #check(socket: Socket, pace: Pace, now: number): void {
    const taken = socket.bytesWritten - socket.writableLength
    if (socket.writableLength === 0) pace.restart(taken, now)
    else if (pace.isTooSlow(taken, now, this.#limits.download))
      this.#cut(socket, 'it does not take its answer')
  }

  #cut(socket: Socket, reason: string): void {
    const client = socket.remoteAddress
    this.#repeats.say(reason, (keptBack) =>
      this.#logger.warn('a client of the Admin API was cut', { reason, client, keptBack }),
    )
    socket.destroy()
  }
}
