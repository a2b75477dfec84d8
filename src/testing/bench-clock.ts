// The system's clock, moved ahead as a test wants it: what it puts off falls due at once when its time is skipped.
import { type Clock, systemClock, type Timer } from '../base/clock.ts'

interface Waiting {
  readonly atMs: number
  readonly timer: Timer
  readonly call: () => void
}

export class BenchClock implements Clock {
  /** By how much it is ahead, of the calendar and of durations. */
  #wallMs = 0
  #monotonicMs = 0
  readonly #waiting = new Set<Waiting>()

  now(): number {
    return systemClock.now() + this.#wallMs
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#monotonicMs
  }

  after(delayMs: number, call: () => void): Timer {
    const due = () => {
      this.#waiting.delete(waiting)
      call()
    }
    const waiting: Waiting = {
      atMs: this.monotonic() + delayMs,
      timer: systemClock.after(delayMs, due),
      call: due,
    }
    this.#waiting.add(waiting)
    return {
      cancel: () => {
        waiting.timer.cancel()
        this.#waiting.delete(waiting)
      },
    }
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const timer = this.after(delayMs, resolve)
      signal?.addEventListener('abort', () => {
        timer.cancel()
        resolve()
      })
    })
  }

  /** Moves on by so much: what falls due until then is called, in order, before this returns. */
  advance(ms: number): void {
    this.#wallMs += ms
    this.#monotonicMs += ms
    const now = this.monotonic()
    const due = [...this.#waiting].filter(({ atMs }) => atMs <= now).sort((a, b) => a.atMs - b.atMs)
    for (const { timer, call } of due) {
      timer.cancel()
      call()
    }
  }

  /** Sets the calendar, as `Date` reads it, e.g. `2026-11-26T17:00:00Z`; durations and what is put off stay as they are. */
  set(to: string | number | Date): void {
    const ms = new Date(to).getTime()
    if (Number.isNaN(ms)) throw new TypeError(`${JSON.stringify(to)} is no time that Date can read`)
    this.#wallMs += ms - this.now()
  }
}
