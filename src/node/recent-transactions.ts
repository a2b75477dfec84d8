// The transactions that this node applied last, to hand on to others as they were received.
import type { Position } from '../base/stamp.ts'
import type { LogEvent } from '../event-log/event.ts'

/** A write is handed on right after it was applied, so what is older than so many others is wanted by nobody. */
const keptMax = 256
/** One with more events is pulled by the others rather than sent. */
const eventsMax = 1000

export class RecentTransactions {
  readonly #byEnd = new Map<Position, readonly LogEvent[]>()

  add(transaction: readonly LogEvent[]): void {
    const last = transaction.at(-1)
    if (!last || transaction.length > eventsMax) return
    this.#byEnd.set(last.position, transaction)
    if (this.#byEnd.size > keptMax) this.#byEnd.delete(this.#byEnd.keys().next().value as Position)
  }

  /** After another history was loaded: what was kept is of the one before. */
  clear(): void {
    this.#byEnd.clear()
  }

  /** The one that ends at `position`; empty when it is not kept. */
  get(position: Position): readonly LogEvent[] {
    return this.#byEnd.get(position) ?? []
  }
}
