// Whether somebody moves bytes fast enough.

export interface Pacing {
  /** How long it may stand still. */
  readonly graceMs: number
  /** From then on, on the average. 0: any byte will do. */
  readonly bytesPerSecond: number
}

/**
 * An account of time. It begins with the grace, time is taken off, and each byte that moves puts some on, up to the
 * grace: so neither standing still nor a trickle goes on for ever, and what was fast before is no licence to be slow.
 */
export class Pace {
  #leftMs = Number.POSITIVE_INFINITY
  #bytes = 0
  /** Undefined until the first look. */
  #at: number | undefined

  /** It is not their turn, or was not: nothing is held against them. */
  restart(bytes: number, now: number): void {
    this.#leftMs = Number.POSITIVE_INFINITY
    this.#bytes = bytes
    this.#at = now
  }

  /**
   * To be asked now and then, while it is their turn; time is taken off from the first look on.
   * @param bytes  that ever moved
   */
  isTooSlow(bytes: number, now: number, { graceMs, bytesPerSecond }: Pacing): boolean {
    const moved = bytes - this.#bytes
    // At no rate one byte buys all of the grace.
    const earnedMs = moved === 0 ? 0 : (moved / bytesPerSecond) * 1000
    const beforeMs = Math.min(this.#leftMs, graceMs)
    this.#leftMs = Math.min(beforeMs - (now - (this.#at ?? now)) + earnedMs, graceMs)
    this.#bytes = bytes
    this.#at = now
    return this.#leftMs <= 0
  }
}
