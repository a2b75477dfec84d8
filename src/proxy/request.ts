// What comes in and what is said back, whoever parsed it.
import type { Readable } from 'node:stream'
import type { PluginAnswer } from '../plugins/plugin.ts'
import type { Headers } from './headers.ts'

/** A request as it came in, whoever parsed it. Never changed. */
export interface Incoming {
  readonly method: string
  /** The request target, byte for byte (each byte one char, latin1), e.g. `/a%2Fb?x=1`. */
  readonly target: string
  readonly httpVersion: string
  /** As received, hop-by-hop ones included. */
  readonly headers: Headers
  /** Null when the request has none. Nothing is read from the client before somebody reads it. */
  readonly body: Readable | null
  /** Names and values in turn of the trailer fields; complete once `body` has ended. */
  readonly trailers: () => readonly string[]
  /** Address of the peer of the connection. */
  readonly remoteAddress: string
  readonly localPort: number
  /** Whether the connection to the gateway is TLS. */
  readonly encrypted: boolean
  /** The protocol that the client wants to go on with; what upstream and plugins make of it is the answer. */
  readonly upgrade: 'websocket' | null
  /** Milliseconds since 1970, when the head was complete. */
  readonly receivedAt: number
}

/** The `httpVersion` of requests over HTTP/2, as node:http2 spells it. */
export const http2Version = '2.0'

/** Who waits for the answer. */
export interface Client {
  /** Aborts when the client has gone before it was answered. Made when it is first asked for, as it rarely is. */
  readonly gone: AbortSignal
}

/** An answer that the gateway or a plugin gives instead of the upstream's. */
export type Answer = PluginAnswer
