// How often something took how long, in buckets: what is kept of many measurements.

/** Lies in an array of numbers, which threads may share: one of them measures, the others may read at any time. */
export class Histogram {
  /** Upper bounds of the buckets, ascending; one more bucket has what is above the last. */
  readonly bounds: readonly number[]
  readonly #numbers: Float64Array

  /** How many numbers one with these bounds takes. */
  static lengthFor(bounds: readonly number[]): number {
    // The bucket above the last bound, and the sum.
    return bounds.length + 2
  }

  /** @param numbers  `lengthFor(bounds)` of them; one writer only, so no atomics are needed */
  constructor(
    bounds: readonly number[],
    numbers: Float64Array = new Float64Array(Histogram.lengthFor(bounds)),
  ) {
    this.bounds = bounds
    this.#numbers = numbers
  }

  observe(value: number): void {
    const { bounds } = this
    let bucket = 0
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++
    this.#add(bucket, 1)
    this.#add(bounds.length + 1, value)
  }

  /** Measurements in each bucket, not summed up. */
  get counts(): number[] {
    return [...this.#numbers.subarray(0, this.bounds.length + 1)]
  }

  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0)
  }

  /** Of all that was measured. */
  get sum(): number {
    return this.#numbers[this.bounds.length + 1] as number
  }

  #add(place: number, amount: number): void {
    this.#numbers[place] = (this.#numbers[place] as number) + amount
  }
}
