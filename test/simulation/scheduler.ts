// Simulated time: what is to happen, in order, and nothing else. Between two happenings everything that was resolved runs
// to its end, so no code under test ever sees time pass while it has work to do.
import { setFlagsFromString } from 'node:v8'
import { type Appointment, Queue } from './queue.ts'

/**
 * Runs all microtasks that there are, and those that they make. A turn of the real event loop would do the same for a
 * hundred times as much; V8 has no other name for it than the one that its own tests use.
 */
const drain = microtaskCheckpoint()

function microtaskCheckpoint(): () => void {
  setFlagsFromString('--allow-natives-syntax')
  const checkpoint = new Function('%PerformMicrotaskCheckpoint()') as () => void
  setFlagsFromString('--no-allow-natives-syntax')
  return checkpoint
}

/** Calls `act` where a scheduler can run: microtasks are not drained from within one. */
export function inTurn<T>(act: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      // Thousands of errors are made, and nobody looks at their stacks.
      const { stackTraceLimit } = Error
      Error.stackTraceLimit = 0
      try {
        resolve(act())
      } catch (error) {
        reject(error)
      } finally {
        Error.stackTraceLimit = stackTraceLimit
      }
    })
  })
}

export class Scheduler {
  /** In ms since the world began. */
  now = 0
  /** Happenings so far. */
  turns = 0
  #isHalted = false
  readonly #queue = new Queue()

  at(time: number, act: () => void): Appointment {
    return this.#queue.add(Math.max(time, this.now), act)
  }

  after(delayMs: number, act: () => void): Appointment {
    return this.at(this.now + delayMs, act)
  }

  /** Lets `forMs` pass. Not from within a promise's continuation: see `inTurn`. */
  run(forMs: number): void {
    requireTurn()
    const until = this.now + forMs
    while (!this.#isHalted && this.#next(until)) drain()
    if (!this.#isHalted) this.now = until
  }

  /** Time stands still from now on. */
  halt(): void {
    this.#isHalted = true
  }

  /** Runs until `isDone`, looked at every `stepMs`. Returns how long that took; undefined when it never was. */
  runUntil(isDone: () => boolean, limitMs: number, stepMs = 10): number | undefined {
    const from = this.now
    while (!isDone()) {
      if (this.#isHalted || this.now - from >= limitMs) return undefined
      this.run(stepMs)
    }
    return this.now - from
  }

  /** The next happening alone, for those who await the event loop between any two. */
  step(): void {
    this.#next(Number.POSITIVE_INFINITY)
  }

  #next(until: number): boolean {
    const due = this.#queue.takeBefore(until)
    if (!due) return false
    this.now = due.at
    this.turns++
    due.act()
    return true
  }
}

function requireTurn(): void {
  let ran = false
  queueMicrotask(() => {
    ran = true
  })
  drain()
  if (!ran) throw new Error('simulated time cannot pass within a microtask: see inTurn')
}
