// What a series of measurements says: it grows, or it does not.
import { median } from '../support/measure.ts'

export interface Sample {
  readonly atMs: number
  readonly value: number
}

export interface Trend {
  /** Medians of the first and of the last third of what comes after the warm-up. */
  readonly early: number
  readonly late: number
  readonly perHour: number
}

/** A quarter of the time: caches fill, code is compiled, and heaps find their size. */
const warmUpShare = 1 / 4

/** The slope is the median of all slopes between two samples (Theil and Sen), which no single outlier moves. */
export function trendOf(samples: readonly Sample[]): Trend {
  const steady = samples.slice(Math.floor(samples.length * warmUpShare))
  const third = Math.max(1, Math.floor(steady.length / 3))
  const values = (some: readonly Sample[]) => some.map(({ value }) => value)
  const slopes = steady.flatMap((one, i) =>
    steady.slice(i + 1).map((other) => (other.value - one.value) / (other.atMs - one.atMs)),
  )
  return {
    early: median(values(steady.slice(0, third))),
    late: median(values(steady.slice(-third))),
    perHour: slopes.length > 0 ? median(slopes) * 3_600_000 : 0,
  }
}

/** Whether a series has grown by more than it may: a share of what it was, and some units that are noise. */
export function hasGrown({ early, late }: Trend, share: number, noise: number): boolean {
  return late > early * (1 + share) + noise
}
