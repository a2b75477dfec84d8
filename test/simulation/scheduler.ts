// Simulated time: what is to happen, in order, and nothing else. Between two happenings everything that was resolved runs
// to its end, so no code under test ever sees time pass while it has work to do.
import { setFlagsFromString } from 'node:v8'

/** Something that is to happen. */
export interface Appointment {
  cancel(): void
}

interface Entry extends Appointment {
  readonly at: number
  readonly order: number
  readonly act: () => void
  isOff: boolean
}

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
  #order = 0
  /** A binary heap by time; those of one time in the order in which they were added. */
  readonly #heap: Entry[] = []

  at(time: number, act: () => void): Appointment {
    const entry: Entry = {
      ...{ at: Math.max(time, this.now), order: this.#order++, act, isOff: false },
      cancel() {
        entry.isOff = true
      },
    }
    this.#add(entry)
    return entry
  }

  after(delayMs: number, act: () => void): Appointment {
    return this.at(this.now + delayMs, act)
  }

  /** Lets `forMs` pass. Not from within a promise's continuation: see `inTurn`. */
  run(forMs: number): void {
    requireTurn()
    const until = this.now + forMs
    while (!this.#isHalted && (this.#heap[0]?.at ?? Number.POSITIVE_INFINITY) <= until) {
      this.#next()
      drain()
    }
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
    if (this.#heap.length > 0) this.#next()
  }

  #next(): void {
    const entry = this.#take() as Entry
    if (entry.isOff) return
    this.now = entry.at
    this.turns++
    entry.act()
  }

  #add(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    for (
      let parent = (at - 1) >> 1;
      at > 0 && isBefore(entry, heap[parent] as Entry);
      parent = (at - 1) >> 1
    ) {
      heap[at] = heap[parent] as Entry
      at = parent
    }
    heap[at] = entry
  }

  #take(): Entry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last && heap.length > 0) this.#sink(last)
    return first
  }

  /** Puts `entry` where the first one was, and then where it belongs. */
  #sink(entry: Entry): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= heap.length) break
      const right = left + 1
      const least = right < heap.length && isBefore(heap[right] as Entry, heap[left] as Entry) ? right : left
      if (!isBefore(heap[least] as Entry, entry)) break
      heap[at] = heap[least] as Entry
      at = least
    }
    heap[at] = entry
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

function requireTurn(): void {
  let ran = false
  queueMicrotask(() => {
    ran = true
  })
  drain()
  if (!ran) throw new Error('simulated time cannot pass within a microtask: see inTurn')
}
