// What is to be passed on: whom there is news of, and how often it was told. The news itself is read from the view
// when it is sent, so that nothing outdated is ever passed on, and one entry a member is all that can wait.

export interface GossipOptions {
  /** News is sent ⌈repeats × log2(n + 1)⌉ times; see `Profile.rumourRepeats`. */
  readonly repeats: number
  /** Bound on what `take` returns. */
  readonly perMessageMax: number
}

export class Gossip {
  readonly #options: GossipOptions
  /** How often each was told; in the order in which the news came. */
  readonly #told = new Map<string, number>()

  constructor(options: GossipOptions) {
    this.#options = options
  }

  /** Members of whom there is news to tell. */
  get waiting(): number {
    return this.#told.size
  }

  /** There is news of `name`: told from the beginning, even if older news of it was being told. */
  spread(name: string): void {
    this.#told.delete(name)
    this.#told.set(name, 0)
  }

  forget(name: string): void {
    this.#told.delete(name)
  }

  /**
   * Whom to tell of in the next message, the least told first and of those the newest.
   * @param members  n, how many there are to be reached
   */
  take(members: number): string[] {
    if (this.#told.size === 0) return []
    const most = Math.ceil(this.#options.repeats * Math.log2(members + 1))
    const chosen = [...this.#told]
      .reverse()
      .sort(([, told], [, other]) => told - other)
      .slice(0, this.#options.perMessageMax)
    for (const [name, told] of chosen) {
      if (told + 1 >= most) this.#told.delete(name)
      else this.#told.set(name, told + 1)
    }
    return chosen.map(([name]) => name)
  }
}
