// Work that is done so many at once, in the order in which it came.

export class Turns {
  readonly #atOnce: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(atOnce: number) {
    this.#atOnce = atOnce
  }

  /** How many wait for their turn. Whoever adds to them bounds them. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Does `work` when it is its turn; settles as it does. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#atOnce) this.#running++
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      // Handed over rather than given back: who comes just now must not get in between.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }
}
