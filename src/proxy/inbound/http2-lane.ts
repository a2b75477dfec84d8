// Clients that have agreed on HTTP/2 in their handshake: all their connections on one inbound.
import type { Socket } from 'node:net'
import { Http2Connection, type Http2Parts } from './http2-connection.ts'

/** What they have in common is given, but for what only all of them together know. */
export type Http2LaneOptions = Omit<Http2Parts, 'room'>

export class Http2Lane {
  readonly #parts: Http2Parts
  readonly #connections = new Map<Socket, Http2Connection>()
  #isDraining = false

  constructor(options: Http2LaneOptions) {
    // A request takes a connection to an upstream, as one over HTTP/1.1 does, so there may be as many.
    this.#parts = { ...options, room: new Room(options.limits.connectionsMax) }
  }

  take(socket: Socket): void {
    const connection = new Http2Connection(this.#parts, socket)
    this.#connections.set(socket, connection)
    socket.once('close', () => this.#connections.delete(socket))
    if (this.#isDraining) connection.drain()
  }

  /** To be called now and then. */
  check(now: number): void {
    for (const connection of this.#connections.values()) connection.check(now)
  }

  /** Lets open requests finish, and takes no more. */
  drain(): void {
    this.#isDraining = true
    for (const connection of this.#connections.values()) connection.drain()
  }

  /** Resolves when all connections that there are now are closed. */
  async closed(): Promise<void> {
    await Promise.all([...this.#connections.keys()].map(closed))
  }
}

/** In whatever way. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

/** For requests at once. */
class Room {
  #free: number

  constructor(requestsMax: number) {
    this.#free = requestsMax
  }

  take(): boolean {
    if (this.#free === 0) return false
    this.#free--
    return true
  }

  giveBack(): void {
    this.#free++
  }
}
