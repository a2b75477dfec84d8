// Puts off writes until all that this turn of the event loop has brought was read. A write keeps the system busy for so
// long that little of this program is left in the caches of the processor: reads and writes that take turns cost a
// fifth more than all reads and then all writes. When there is little to do, a turn has brought one thing, and nothing waits.

/** Who has something to write. */
export interface Pending {
  /** Writes it. May be called when there is nothing any more. */
  flush(): void
}

export class WriteBatch {
  #pending: Pending[] = []

  /** Has it flushed when this turn is over. */
  add(one: Pending): void {
    if (this.#pending.push(one) === 1) setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    const pending = this.#pending
    this.#pending = []
    for (const one of pending) one.flush()
  }
}
