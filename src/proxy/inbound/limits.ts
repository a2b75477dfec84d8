// What a client may take of a worker: time and room. Settings of the node, in the units of code.
import type { Pacing } from './pace.ts'

/** Of one head. */
export interface HeadBounds {
  /** All header lines together. More lets larger cookies pass; each connection may hold that much. */
  readonly headBytesMax: number
  readonly fieldsMax: number
  readonly fieldLineBytesMax: number
  readonly requestLineBytesMax: number
}

export interface ClientLimits extends HeadBounds {
  /** From the first byte of a head, or from the beginning of the connection, to the end of the head. */
  readonly headMs: number
  /** Between two requests. */
  readonly idleMs: number
  /** Of a body that the client sends. */
  readonly upload: Pacing
  /** Of a reply that it takes. */
  readonly download: Pacing
  /** At once, on all listeners of one worker. */
  readonly connectionsMax: number
  /** Requests at once on one connection over HTTP/2. */
  readonly streamsMax: number
}

/** The contract's 60 s and 32 KiB, with what its web server bounded lines to. */
export const defaultLimits: ClientLimits = {
  headBytesMax: 32 * 1024,
  fieldsMax: 256,
  fieldLineBytesMax: 16 * 1024,
  requestLineBytesMax: 8 * 1024,
  headMs: 60_000,
  idleMs: 60_000,
  upload: { graceMs: 60_000, bytesPerSecond: 500 },
  download: { graceMs: 60_000, bytesPerSecond: 500 },
  connectionsMax: 16_384,
  streamsMax: 100,
}
