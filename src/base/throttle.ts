import type { Clock, Timer } from './clock.ts'

/**
 * Bounds how often something is done, however often it is asked for: the first time at once, then once in each gap, at
 * its end, for all who asked in it.
 */
export class Throttle {
  readonly #clock: Clock
  readonly #gapMs: number
  readonly #act: () => void
  #actedAtMs = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  /** @param gapMs  from one time to the next; longer costs less, and lets who asks wait for as long */
  constructor(clock: Clock, gapMs: number, act: () => void) {
    this.#clock = clock
    this.#gapMs = gapMs
    this.#act = act
  }

  /** Has it done, now or at the end of the gap. */
  call(): void {
    if (this.#timer) return
    const waitMs = this.#actedAtMs + this.#gapMs - this.#clock.monotonic()
    if (waitMs <= 0) this.#run()
    else this.#timer = this.#clock.after(waitMs, () => this.#run())
  }

  /** It need not be done for those who have asked. */
  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #run(): void {
    this.#timer = undefined
    this.#actedAtMs = this.#clock.monotonic()
    this.#act()
  }
}
