// A clock that stands until a test moves it.
import type { Clock, Timer } from '../../src/base/clock.ts'

export class ManualClock implements Clock {
  #nowMs = 0
  readonly #timers = new Set<{ readonly atMs: number; readonly call: () => void }>()

  now(): number {
    return this.#nowMs
  }

  monotonic(): number {
    return this.#nowMs
  }

  after(delayMs: number, call: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, call }
    this.#timers.add(timer)
    return { cancel: () => this.#timers.delete(timer) }
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      this.after(delayMs, resolve)
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  /** Moves on; what falls due is called in order, each at its time. */
  advance(ms: number): void {
    const until = this.#nowMs + ms
    for (let due = this.#due(until); due; due = this.#due(until)) {
      this.#timers.delete(due)
      this.#nowMs = Math.max(this.#nowMs, due.atMs)
      due.call()
    }
    this.#nowMs = until
  }

  /** Moves on as it does for a process that is stopped: what falls due in between is late, and called when it goes on. */
  hold(ms: number): void {
    this.#nowMs += ms
    this.advance(0)
  }

  #due(until: number) {
    const due = [...this.#timers].filter(({ atMs }) => atMs <= until)
    return due.sort((a, b) => a.atMs - b.atMs)[0]
  }
}
