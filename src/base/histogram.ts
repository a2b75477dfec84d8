// How often something took how long, in buckets: what is kept of many measurements.

export class Histogram {
  /** Upper bounds of the buckets, ascending; what is above the last is counted in `count` alone. */
  readonly bounds: readonly number[]
  /** Measurements in each bucket, not summed up. */
  readonly counts: number[]
  sum = 0
  count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    const bucket = this.bounds.findIndex((bound) => value <= bound)
    if (bucket >= 0) this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
    this.sum += value
    this.count++
  }
}
