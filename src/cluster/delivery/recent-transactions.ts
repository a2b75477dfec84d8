// The transactions that this node applied last, to hand on to others as they were received.
import type { Position } from '../../base/stamp.ts'
import type { LogEvent } from '../../event-log/event.ts'

/** A write is handed on right after it was applied; who was away for longer than this asks the datastore. */
const transactionsMax = 1024
const bytesMax = 16 << 20
/** One that is bigger is pulled by the others rather than sent. */
const transactionBytesMax = 512 << 10

interface Kept {
  readonly events: readonly LogEvent[]
  readonly bytes: number
}

export class RecentTransactions {
  /** By the position at which each ends, in order and without a gap. */
  readonly #byEnd = new Map<Position, Kept>()
  #bytes = 0
  #end: Position | undefined

  /** The next one in the log. */
  add(events: readonly LogEvent[]): void {
    const [first, last] = [events[0], events.at(-1)]
    if (!first || !last) return
    if (first.position - 1 !== this.#end) this.clear()
    this.#end = last.position
    const bytes = events.reduce((sum, { body }) => sum + body.length, 0)
    if (bytes > transactionBytesMax) {
      this.#dropAll()
      return
    }
    this.#byEnd.set(last.position, { events, bytes })
    this.#bytes += bytes
    while (this.#byEnd.size > transactionsMax || this.#bytes > bytesMax) this.#dropOldest()
  }

  /** Another history was loaded: what was kept is of the one before. */
  clear(): void {
    this.#dropAll()
    this.#end = undefined
  }

  /** The one that ends at `position`; empty when it is not kept. */
  get(position: Position): readonly LogEvent[] {
    return this.#byEnd.get(position)?.events ?? []
  }

  /** What follows `position`, whole transactions of `pageBytes` in all, or a single longer one; empty when it is not kept. */
  after(position: Position, pageBytes: number): readonly LogEvent[] {
    const found: LogEvent[] = []
    let size = 0
    for (const [end, { events, bytes }] of this.#byEnd) {
      if (end <= position) continue
      size += bytes
      if (found.length > 0 && size > pageBytes) break
      found.push(...events)
    }
    return found[0]?.position === position + 1 ? found : []
  }

  #dropAll(): void {
    this.#byEnd.clear()
    this.#bytes = 0
  }

  #dropOldest(): void {
    const [oldest] = this.#byEnd
    if (!oldest) return
    this.#byEnd.delete(oldest[0])
    this.#bytes -= oldest[1].bytes
  }
}
