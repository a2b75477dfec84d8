// Finds the worker threads that stand still: in a loop that does not end, or in a call that does not return. A process that
// was stopped and a machine that has no time for it make all threads stand still, and no worker is blamed for that.
import type { Clock, Timer } from '../base/clock.ts'
import type { ThreadTimes } from '../base/process.ts'

/** A thread as it is seen from another. */
export interface Sight {
  /** Rises as long as its event loop turns, ten times a second. */
  readonly beats: number
  /** Undefined where the system does not tell. */
  readonly times: ThreadTimes | undefined
}

/** For how long one thread has stood still, as far as it is to blame for that itself. */
export class Standstill {
  /** Time between two looks that is believed: who looks later than that was held up, and so may the thread have been. */
  readonly #gapMaxMs: number
  #seen: Sight | undefined
  #at = 0
  #ms = 0
  #ranMs = 0

  constructor(gapMaxMs: number) {
    this.#gapMaxMs = gapMaxMs
  }

  /** Of these `ms`, how much it spent on the processor; the rest it was waiting in a call. */
  get ranMs(): number {
    return this.#ranMs
  }

  /** @returns  the time in ms that it has stood still by now */
  look(seen: Sight, now: number): number {
    const [before, gapMs] = [this.#seen, now - this.#at]
    this.#seen = seen
    this.#at = now
    if (!before || before.beats !== seen.beats) {
      this.#ms = this.#ranMs = 0
      return 0
    }
    const since = (time: keyof ThreadTimes) => (seen.times?.[time] ?? 0) - (before.times?.[time] ?? 0)
    this.#ms += Math.max(0, Math.min(gapMs, this.#gapMaxMs) - since('queuedMs'))
    this.#ranMs += since('ranMs')
    return this.#ms
  }
}

/** A thread that is watched. */
export interface Watched {
  sight(): Sight
}

export interface StoodStill {
  readonly ms: number
  /** Whether it was on the processor for most of that; undefined where the system does not tell. */
  readonly ran: boolean | undefined
}

export interface WatchdogOptions<Thread extends Watched> {
  readonly clock: Clock
  /** Those that are watched at the time; one that is replaced is another. */
  readonly threads: () => readonly Thread[]
  /** For how long a thread may stand still; 0 for ever. */
  readonly limitMs: number
  /** Called once for each thread, and again if it has moved in between. */
  readonly onStuck: (thread: Thread, stood: StoodStill) => void
}

/** Of the limit: how late it is noticed. */
const lookEvery = 0.1
const lookMs = { least: 100, most: 1000 }

export class Watchdog<Thread extends Watched> {
  readonly #options: WatchdogOptions<Thread>
  readonly #told = new WeakSet<Thread>()
  #limitMs: number
  #standstills = new WeakMap<Thread, Standstill>()
  #timer: Timer | undefined

  constructor(options: WatchdogOptions<Thread>) {
    this.#options = options
    this.#limitMs = options.limitMs
  }

  start(): void {
    if (this.#limitMs === 0) return
    const everyMs = Math.min(lookMs.most, Math.max(lookMs.least, this.#limitMs * lookEvery))
    this.#timer = this.#options.clock.after(everyMs, () => {
      for (const thread of this.#options.threads()) this.#look(thread, 2 * everyMs)
      this.start()
    })
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** From now on. */
  limit(limitMs: number): void {
    if (limitMs === this.#limitMs) return
    this.stop()
    this.#limitMs = limitMs
    this.#standstills = new WeakMap()
    this.start()
  }

  #look(thread: Thread, gapMaxMs: number): void {
    const standstill = this.#standstills.get(thread) ?? new Standstill(gapMaxMs)
    this.#standstills.set(thread, standstill)
    const sight = thread.sight()
    const ms = standstill.look(sight, this.#options.clock.monotonic())
    if (ms < this.#limitMs) this.#told.delete(thread)
    else if (!this.#told.has(thread)) {
      this.#told.add(thread)
      const ran = sight.times && standstill.ranMs > ms / 2
      this.#options.onStuck(thread, { ms, ran })
    }
  }
}
