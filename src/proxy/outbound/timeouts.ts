// How long an upstream may take for what.

export interface Timeouts {
  /** For a free connection and the handshakes on a new one. */
  readonly connectMs: number
  /** Between two successful writes of the request. */
  readonly sendMs: number
  /**
   * Between the request's last byte and the answer's first, and between any two reads of the answer. In another
   * protocol: between any two reads or writes.
   */
  readonly readMs: number
}

/** The contract's 60 s each. */
export const defaultTimeouts: Timeouts = { connectMs: 60_000, sendMs: 60_000, readMs: 60_000 }

/** How often it is looked at: a quarter of the shortest is how late it may be noticed that it is over. */
export function sweepMs({ connectMs, sendMs, readMs }: Timeouts): number {
  return Math.min(1000, Math.max(5, Math.min(connectMs, sendMs, readMs) / 4))
}
