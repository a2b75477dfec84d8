// A client's connection as long as all that comes on it is plain: parsed and answered here, on the bare socket. The
// first head that is not, or that is not there as a whole, goes to the ordinary lane untouched, and the connection with it
// for good. So nothing that is in doubt is ever decided here, and nothing is refused.
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { Incoming } from '../request.ts'
import type { Connection } from './connection.ts'
import { CountedBody } from './counted-body.ts'
import type { FastHead, FastHeadReader } from './fast-head.ts'
import { type FastReplies, FastReply } from './fast-reply.ts'
import { SharedSocket } from './shared-socket.ts'

/** What all connections of an inbound share. */
export interface FastLaneParts {
  readonly clock: Clock
  /** What shared sockets are read into. */
  readonly memory: Buffer
  readonly reader: FastHeadReader
  readonly replies: FastReplies
  serve(connection: Connection, reply: FastReply, incoming: Incoming): void
  /** The reply in hand is through, and so is its request. */
  finished(connection: Connection): void
  /** The client ended within a body. */
  brokenOff(connection: Connection): void
  /** All that is read from now on is another's, beginning with what was put back. */
  toOrdinaryLane(connection: Connection): void
}

export class FastLane {
  readonly #parts: FastLaneParts
  readonly #connection: Connection
  readonly #socket: Socket
  readonly #peer: Pick<Incoming, 'remoteAddress' | 'localPort' | 'encrypted'>
  /** To the request in hand. */
  #reply: FastReply | undefined
  /** Of the request in hand, until all of it has come. */
  #body: CountedBody | undefined

  constructor(parts: FastLaneParts, connection: Connection) {
    this.#parts = parts
    this.#connection = connection
    const { socket } = connection
    this.#socket = socket
    const { remoteAddress = '', localPort = 0 } = socket
    this.#peer = { remoteAddress, localPort, encrypted: 'encrypted' in socket }
    if (socket instanceof SharedSocket) socket.taker = this.#take
    else socket.on('data', this.#take)
    socket.on('end', this.#ended)
    socket.on('drain', () => this.#reply?.drained())
    socket.on('close', () => this.#broken())
    // What breaks it also closes it.
    socket.on('error', () => {})
  }

  /** @param chunk  not to be kept of a shared socket */
  readonly #take = (chunk: Buffer): void => {
    let at = this.#body ? this.#takeBody(this.#body, chunk, 0) : 0
    while (at < chunk.length) {
      // What comes after the last request of a connection is nobody's (RFC 9112, 9.6).
      if (this.#connection.refusal || !this.#socket.writable || this.#reply?.isLast) return
      const head = this.#reply ? undefined : this.#parts.reader.read(chunk, at)
      if (!head) {
        this.#leave(chunk.subarray(at))
        return
      }
      at = this.#begin(head, chunk, at + head.bytes)
    }
  }

  /** @returns where in `chunk` the request ends, as far as it is there */
  #begin({ method, target, headers, bodyBytes, keepsAlive }: FastHead, chunk: Buffer, from: number): number {
    const body = bodyBytes === 0 ? null : new CountedBody(bodyBytes, this.#wanted)
    const reply = new FastReply(
      this.#socket,
      { method, keepsAlive, body },
      this.#parts.replies,
      this.#replied,
    )
    this.#reply = reply
    this.#body = body ?? undefined
    const end = body ? this.#takeBody(body, chunk, from) : from
    this.#parts.serve(this.#connection, reply, {
      method,
      target,
      httpVersion: '1.1',
      headers,
      body,
      trailers: none,
      remoteAddress: this.#peer.remoteAddress,
      localPort: this.#peer.localPort,
      encrypted: this.#peer.encrypted,
      upgrade: null,
      receivedAt: this.#parts.clock.now(),
    })
    return end
  }

  #takeBody(body: CountedBody, chunk: Buffer, from: number): number {
    const end = body.feed(chunk, from, this.#socket instanceof SharedSocket)
    if (body.isComplete) this.#heardOut()
    else if (!body.hasRoom) this.#socket.pause()
    return end
  }

  readonly #wanted = (): void => {
    if (this.#socket.isPaused()) this.#socket.resume()
  }

  /** All of the request has come. */
  #heardOut(): void {
    this.#body = undefined
    if (this.#reply?.isClosed) this.#finish(this.#reply)
  }

  readonly #replied = (): void => {
    const reply = this.#reply as FastReply
    if (!this.#body || this.#socket.destroyed) {
      this.#finish(reply)
      return
    }
    // A client that still sends is heard out: cut, it might never see the answer. Nobody needs what it sends.
    reply.lingersSince = Math.min(reply.lingersSince, this.#parts.clock.monotonic())
    this.#body.resume()
  }

  #finish(reply: FastReply): void {
    this.#reply = undefined
    if (reply.hasHungUp) this.#socket.destroy()
    this.#parts.finished(this.#connection)
  }

  /** The rest is for the ordinary lane, which may begin before the reply in hand is through: it waits for its turn. */
  #leave(rest: Buffer): void {
    const socket = this.#socket
    const isShared = socket instanceof SharedSocket
    if (isShared) socket.taker = undefined
    socket.off('data', this.#take).off('end', this.#ended)
    this.#parts.toOrdinaryLane(this.#connection)
    socket.unshift(isShared ? Buffer.from(rest) : rest)
  }

  /** The client says no more. As with node:http, it is taken to have gone. */
  readonly #ended = (): void => {
    if (this.#body) this.#parts.brokenOff(this.#connection)
    else this.#socket.end()
  }

  #broken(): void {
    this.#body?.destroy(new Error('the client has gone'))
    this.#body = undefined
    this.#reply?.broken()
  }
}

function none(): readonly string[] {
  return []
}
