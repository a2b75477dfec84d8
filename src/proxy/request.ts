// One request on its way through: what came in, and what plugins may see and change before it goes out.
import type { Readable } from 'node:stream'
import type { Row } from '../base/json.ts'
import type { Headers } from './headers.ts'

/** A request as it came in, whoever parsed it. Never changed. */
export interface Incoming {
  readonly method: string
  /** The request target, byte for byte (each byte one char, latin1), e.g. `/a%2Fb?x=1`. */
  readonly target: string
  readonly httpVersion: string
  /** Names and values in turn, as received, hop-by-hop ones included. */
  readonly rawHeaders: readonly string[]
  /** Null when the request has none. */
  readonly body: Readable | null
  /** Address of the peer of the connection. */
  readonly remoteAddress: string
  readonly localPort: number
  /** Whether the connection to the gateway is TLS. */
  readonly encrypted: boolean
  /** Milliseconds since 1970, when the head was complete. */
  readonly receivedAt: number
}

/** A request being resolved. Made anew from `Incoming` for each attempt, so plugins may change it freely. */
export interface ProxyRequest {
  readonly incoming: Incoming
  /** Address of the client after trusted proxies are taken off. */
  readonly clientAddress: string
  /** The matched API. */
  readonly api: Row
  /** Headers that will go upstream. */
  readonly headers: Headers
  /** Path as sent upstream, without query; starts with `/`. */
  path: string
  /** Query string as sent upstream, without `?`; undefined when there is none. */
  query: string | undefined
  /** Set by an authentication plugin. */
  consumer: Row | null
  credential: Row | null
}

/** An answer that the gateway or a plugin gives instead of the upstream's. */
export interface Answer {
  readonly status: number
  /** An object is sent as JSON with a newline at its end; undefined sends no body. */
  readonly body?: object | string | undefined
  readonly headers?: Readonly<Record<string, string>>
}
