// A process of a simulated machine: it runs when something comes to it, unless it is paused or dead, and it has clocks of
// its own, which are wrong in the ways in which real ones are.
import type { Clock, Timer } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import type { Scheduler } from './scheduler.ts'

export interface ProcessOptions {
  readonly scheduler: Scheduler
  readonly random: Random
  /** How fast its clocks go; 1.0001 gains nine seconds a day. */
  readonly rate?: number
}

/** Milliseconds since 1970 at which worlds begin. */
export const epochMs = 1_700_000_000_000

export class Process {
  readonly clock: Clock
  state: 'running' | 'paused' | 'dead' = 'running'
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #rate: number
  readonly #bornMs: number
  /** What its wall clock shows too much. */
  #skewMs = 0
  /** For how long the machine slept, which the monotonic clock does not count. */
  #sleptMs = 0
  #pausedAtMs = 0
  /** What came while it stood still; timers go first, as in an event loop that wakes up. */
  #late: { timers: (() => void)[]; rest: (() => void)[] } = { timers: [], rest: [] }
  readonly #deaths = new Set<() => void>()

  constructor({ scheduler, random, rate = 1 }: ProcessOptions) {
    this.#scheduler = scheduler
    this.#random = random
    this.#rate = rate
    this.#bornMs = scheduler.now
    const monotonic = () => 1000 + (scheduler.now - this.#bornMs - this.#sleptMs) * rate
    this.clock = {
      monotonic,
      now: () => Math.floor(epochMs + this.#skewMs + this.#bornMs + (scheduler.now - this.#bornMs) * rate),
      after: (delayMs, call) => this.#after(delayMs, call),
      sleep: (delayMs, signal) => this.#sleep(delayMs, signal),
    }
  }

  /** Something comes from outside. */
  hand(act: () => void): void {
    if (this.state === 'running') act()
    else if (this.state === 'paused') this.#late.rest.push(act)
  }

  /** As `hand`, in a turn of its own. */
  handLater(act: () => void): void {
    this.#scheduler.at(this.#scheduler.now, () => this.hand(act))
  }

  pause(): void {
    if (this.state !== 'running') return
    this.state = 'paused'
    this.#pausedAtMs = this.#scheduler.now
  }

  /** @param slept  the machine was asleep: its monotonic clock stood still meanwhile */
  resume(slept = false): void {
    if (this.state !== 'paused') return
    this.state = 'running'
    if (slept) this.#sleptMs += this.#scheduler.now - this.#pausedAtMs
    const { timers, rest } = this.#late
    this.#late = { timers: [], rest: [] }
    for (const act of [...timers, ...rest]) this.handLater(act)
  }

  /** Nothing of it runs any more. */
  kill(): void {
    if (this.state === 'dead') return
    this.state = 'dead'
    this.#late = { timers: [], rest: [] }
    for (const tell of [...this.#deaths]) tell()
    this.#deaths.clear()
  }

  /** Calls `tell` at its death; returns the call that forgets about it. */
  onDeath(tell: () => void): () => void {
    this.#deaths.add(tell)
    return () => this.#deaths.delete(tell)
  }

  /** Its wall clock is set. */
  setClock(byMs: number): void {
    this.#skewMs += byMs
  }

  #after(delayMs: number, call: () => void): Timer {
    // A timer is never early, and mostly a little late.
    const dueMs = Math.max(0, delayMs) / this.#rate + this.#random.fraction()
    return this.#scheduler.after(dueMs, () => {
      if (this.state === 'running') call()
      else if (this.state === 'paused') this.#late.timers.push(call)
    })
  }

  #sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = () => {
        timer.cancel()
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = this.#after(delayMs, done)
      signal?.addEventListener('abort', done, { once: true })
    })
  }
}
