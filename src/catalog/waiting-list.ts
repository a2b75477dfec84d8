// Who waits in a worker until a position is applied there. They need no answer: what they wait for comes as a change.
import type { Clock } from '../base/clock.ts'
import type { Position } from '../base/stamp.ts'
import { Throttle } from '../base/throttle.ts'

/**
 * Between two questions of a worker, and between two pulls that a node makes because of them: whatever positions
 * clients name, the datastore is pulled ten times a second. Who comes right after a pull waits that much longer for his.
 */
export const hurryGapMs = 100

interface Waiter {
  readonly position: Position
  readonly release: () => void
}

export class WaitingList {
  readonly #waiters = new Set<Waiter>()
  readonly #hurry: Throttle

  /** @param hurry  told the highest position that somebody waits for, at least once after each one who comes */
  constructor(clock: Clock, hurry: (position: Position) => void) {
    this.#hurry = new Throttle(clock, hurryGapMs, () => {
      if (this.#waiters.size > 0) hurry(this.#highest())
    })
  }

  /** Resolves once `position` is reached, or `signal` aborts, or all are dismissed. Never rejects. */
  async wait(position: Position, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const { promise, resolve: release } = Promise.withResolvers<void>()
    const waiter = { position, release }
    const leave = () => release()
    signal.addEventListener('abort', leave)
    this.#waiters.add(waiter)
    this.#hurry.call()
    await promise
    this.#waiters.delete(waiter)
    signal.removeEventListener('abort', leave)
  }

  reached(applied: Position): void {
    for (const { position, release } of this.#waiters) if (position <= applied) release()
  }

  /** Nothing more will be reached. */
  dismiss(): void {
    for (const { release } of this.#waiters) release()
  }

  #highest(): Position {
    let highest = 0
    for (const { position } of this.#waiters) highest = Math.max(highest, position)
    return highest
  }
}
