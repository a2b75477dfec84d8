// The side that talks to upstreams: one request out, its answer back piece by piece. Connections and their
// reuse are its own business.
import type { Duplex, Readable } from 'node:stream'
import type { UpstreamUrl } from '../../entities/upstream-url.ts'
import type { UpstreamFailed } from '../errors.ts'
import type { Headers } from '../headers.ts'

export interface OutboundRequest {
  /** Where to connect. The same object as long as it is the same: its connections are found by it. */
  readonly upstream: UpstreamUrl
  readonly method: string
  /** Path and query, byte for byte. */
  readonly target: string
  /** `Host` among them, no hop-by-hop ones. Framing is the outbound's business. */
  readonly headers: Headers
  readonly body: Readable | null
  /** Names and values in turn; asked for once `body` has ended. */
  readonly trailers: () => readonly string[]
  /** The protocol that the client wants to go on with. */
  readonly upgrade: string | null
}

/** Who gets the answer. Nothing is called before `send` returned, nor after `end` or `failed`. */
export interface Receiver {
  /** Before the head: another one that comes on the way to it (1xx). */
  inform(status: number, headers: Headers): void
  head(status: number, reason: string, headers: Headers): void
  /** False asks for no more until `resume`. */
  data(chunk: Uint8Array): boolean
  end(trailers: readonly string[]): void
  /**
   * Instead of the head: the upstream goes on in the protocol that was asked for. Nothing else is called after it.
   * @returns  what is joined with the upstream's connection, until both have ended; undefined to close that
   */
  switchTo(protocol: string, headers: Headers): Duplex | undefined
  /** Before the head: there is no answer. After it: the answer broke off. */
  failed(error: UpstreamFailed): void
}

/** One request in flight. */
export interface Exchange {
  /** Bytes of the request's body sent so far. */
  readonly bodyBytes: number
  resume(): void
  /** Breaks off; the receiver hears nothing more. */
  abort(): void
}

export interface Outbound {
  /** @throws {TypeError} when the target can't be put into a request, or the length is not the body's */
  send(request: OutboundRequest, receiver: Receiver): Exchange
  /** Closes idle connections now, and those in use when their request is done. */
  stop(): void
}
