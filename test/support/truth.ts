// What is true while it changes, as far as somebody can know who has no part in it: from when a write is sent until it
// returns, what was before or what comes after; else one thing alone.

export class Truth<State> {
  #possible: readonly State[]
  /** Of those who look just now: all that may have been true since they began to. */
  readonly #lookers = new Set<Set<State>>()

  constructor(state: State) {
    this.#possible = [state]
  }

  /** What is true, or is about to be. */
  get newest(): State {
    return this.#possible.at(-1) as State
  }

  /** Becomes `next` by `write`; one change at a time. If that fails, nobody knows. */
  async change<T>(next: State, write: () => Promise<T>): Promise<T> {
    this.#possible = [...this.#possible, next]
    for (const seen of this.#lookers) seen.add(next)
    const written = await write()
    this.#possible = [next]
    return written
  }

  /** What `look` resolves with, and all that may have been true at some moment in between. */
  async during<T>(look: () => Promise<T>): Promise<{ found: T; states: readonly State[] }> {
    const seen = new Set(this.#possible)
    this.#lookers.add(seen)
    try {
      return { found: await look(), states: [...seen] }
    } finally {
      this.#lookers.delete(seen)
    }
  }
}
