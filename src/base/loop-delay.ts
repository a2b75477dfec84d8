// How late a thread gets to what is due: whatever comes to it, a request or a probe, waits as long.
import type { Clock, Timer } from './clock.ts'
import type { Histogram } from './histogram.ts'

/** In ms: timers are exact to about one, and a thread that stands still for seconds is out of order. */
export const loopDelayBoundsMs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]

/** Between two looks: a few microseconds each, and hundreds of them between two readings. */
const intervalMs = 100

export class LoopDelay {
  readonly #clock: Clock
  readonly #histogram: Histogram
  #timer: Timer | undefined

  /** @param histogram  with `loopDelayBoundsMs`; this thread alone writes it */
  constructor(clock: Clock, histogram: Histogram) {
    this.#clock = clock
    this.#histogram = histogram
  }

  start(): void {
    const due = this.#clock.monotonic() + intervalMs
    this.#timer = this.#clock.after(intervalMs, () => {
      // A timer may come a little early: it counts from the turn of the loop in which it was set.
      this.#histogram.observe(Math.max(0, this.#clock.monotonic() - due))
      this.start()
    })
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
