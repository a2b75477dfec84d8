// What a worker knows of one counter of the cluster: what the datastore said last, and what it let through since.
import { type PerPeriod, periods, perPeriod } from '../../base/calendar.ts'
import type { BatchAnswer, BatchAsk } from './batch.ts'

export class Remembered {
  readonly #askedAtMs: number
  readonly #endsAtMs: readonly number[]
  readonly #used: readonly number[]
  #since: number

  /**
   * @param askedAtMs  monotonic; windows are measured from there and not from the answer, so that one may be thought
   *                   over too early and never too late
   * @param since      let through already, and not counted in the answer
   */
  constructor({ used, leftMs }: BatchAnswer, askedAtMs: number, since: number) {
    this.#askedAtMs = askedAtMs
    this.#endsAtMs = leftMs.map((left) => askedAtMs + left)
    this.#used = used
    this.#since = since
  }

  ageMs(nowMs: number): number {
    return nowMs - this.#askedAtMs
  }

  /** Whether a limit is used up: nobody can count in that window any more, so it stays so until it ends. */
  isOver(limits: BatchAsk['limits'], nowMs: number): boolean {
    return limits.some((limit, i) => limit !== null && this.#usedIn(i, nowMs) >= limit)
  }

  /** Whether it is about the current window of every period that has a limit. */
  covers(limits: BatchAsk['limits'], nowMs: number): boolean {
    return limits.every((limit, i) => limit === null || this.#goesOn(i, nowMs))
  }

  used(nowMs: number): PerPeriod<number> {
    return perPeriod(periods.map((_, i) => this.#usedIn(i, nowMs)))
  }

  /** So many more were let through. */
  add(times = 1): void {
    this.#since += times
  }

  #usedIn(i: number, nowMs: number): number {
    return this.#goesOn(i, nowMs) ? (this.#used[i] as number) + this.#since : 0
  }

  #goesOn(i: number, nowMs: number): boolean {
    return nowMs < (this.#endsAtMs[i] as number)
  }
}
