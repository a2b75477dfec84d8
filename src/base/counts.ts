// Numbers with names, in an array that threads may share: one of them counts, the others may read at any time.

export class Counts<Name extends string> {
  readonly #names: readonly Name[]
  readonly #places: Readonly<Record<Name, number>>
  readonly #numbers: Float64Array

  /** @param numbers  as many as there are names, at least; one writer only, so no atomics are needed */
  constructor(names: readonly Name[], numbers: Float64Array = new Float64Array(names.length)) {
    this.#names = names
    this.#places = Object.fromEntries(names.map((name, i) => [name, i])) as Record<Name, number>
    this.#numbers = numbers
  }

  add(name: Name, amount = 1): void {
    const i = this.#places[name]
    this.#numbers[i] = (this.#numbers[i] as number) + amount
  }

  get(name: Name): number {
    return this.#numbers[this.#places[name]] as number
  }

  clear(name: Name): void {
    this.#numbers[this.#places[name]] = 0
  }

  /** As they are now. */
  all(): Record<Name, number> {
    return Object.fromEntries(this.#names.map((name) => [name, this.get(name)])) as Record<Name, number>
  }
}

/** Number by number, of arrays of one length. */
export function sumOf(arrays: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(arrays[0]?.length ?? 0)
  for (const array of arrays) for (const [i, number] of array.entries()) sum[i] = (sum[i] as number) + number
  return sum
}
