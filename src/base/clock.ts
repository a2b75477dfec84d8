// Time, as everything else in Troop sees it. Only src/base may ask the machine what time it is; all others
// are handed a Clock, so that a simulation can run hours of a cluster in a second.

/** A call that was put off. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z; may jump when the machine's clock is set. */
  now(): number
  /**
   * Milliseconds from an arbitrary start, with fractions; never goes back and may stand still while the machine sleeps.
   * The same for all threads of a process. For durations and deadlines.
   */
  monotonic(): number
  /** Calls `call` once after `delayMs`; an unexpired timer does not keep the process alive. */
  after(delayMs: number, call: () => void): Timer
  /** Resolves after `delayMs`, or as soon as `signal` aborts; never rejects. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  // Not performance.now(): each thread has a start of its own for that. Not hrtime.bigint(): a number is made of it at once.
  monotonic() {
    const [seconds, nanoseconds] = process.hrtime()
    return seconds * 1e3 + nanoseconds / 1e6
  },
  after(delayMs, call) {
    const timeout = setTimeout(call, delayMs)
    timeout.unref()
    return { cancel: () => clearTimeout(timeout) }
  },
  sleep(delayMs, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = () => {
        clearTimeout(timeout)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      // Not unref'd: whoever awaits a sleep has work to do after it.
      const timeout = setTimeout(done, delayMs)
      signal?.addEventListener('abort', done, { once: true })
    })
  },
}

/**
 * A point in time on both clocks. Neither is enough for "how old is this": one may stand still while the machine
 * sleeps, the other may be set back. Whichever says more is believed.
 */
export interface Moment {
  readonly monotonic: number
  readonly wall: number
}

export function momentOf(clock: Clock): Moment {
  return { monotonic: clock.monotonic(), wall: clock.now() }
}

export function ageMs(clock: Clock, { monotonic, wall }: Moment): number {
  return Math.max(clock.monotonic() - monotonic, clock.now() - wall)
}

/** `moment`, so many milliseconds later. */
export function later({ monotonic, wall }: Moment, ms: number): Moment {
  return { monotonic: monotonic + ms, wall: wall + ms }
}

/** Rejects with `error()` when `promise` has not settled after `limitMs`; the work itself goes on. */
export async function within<T>(
  clock: Clock,
  limitMs: number,
  promise: Promise<T>,
  error: () => Error,
): Promise<T> {
  let timer: Timer | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = clock.after(limitMs, () => reject(error()))
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    timer?.cancel()
  }
}
