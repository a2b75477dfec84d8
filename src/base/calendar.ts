// The calendar as counters see it: every second, minute, hour, day, month and year is a window, in UTC.

/** Short to long; a window of one lies within one window of each that follows. */
export const periods = ['second', 'minute', 'hour', 'day', 'month', 'year'] as const

export type Period = (typeof periods)[number]

/** One value for each period. */
export type PerPeriod<T> = Readonly<Record<Period, T>>

/** @param values  in the order of `periods` */
export function perPeriod<T>([second, minute, hour, day, month, year]: readonly T[]): PerPeriod<T> {
  return { second, minute, hour, day, month, year } as PerPeriod<T>
}

const secondMs = 1000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/**
 * The windows that contain `nowMs` (milliseconds since 1970), in the order of `periods`: numbers below 2³² that differ
 * from those of any other window of the same period.
 */
export function windowsAt(nowMs: number): readonly number[] {
  const date = new Date(nowMs)
  const year = date.getUTCFullYear()
  const fixed = [secondMs, minuteMs, hourMs, dayMs].map((lengthMs) => Math.floor(nowMs / lengthMs))
  return [...fixed, year * 12 + date.getUTCMonth(), year]
}

/** When the window of `period` that contains `nowMs` is over, in milliseconds since 1970. */
export function windowEndsAt(period: Period, nowMs: number): number {
  switch (period) {
    case 'second':
      return after(nowMs, secondMs)
    case 'minute':
      return after(nowMs, minuteMs)
    case 'hour':
      return after(nowMs, hourMs)
    case 'day':
      return after(nowMs, dayMs)
    case 'month': {
      const date = new Date(nowMs)
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1)
    }
    case 'year':
      return Date.UTC(new Date(nowMs).getUTCFullYear() + 1, 0)
  }
}

function after(nowMs: number, lengthMs: number): number {
  return (Math.floor(nowMs / lengthMs) + 1) * lengthMs
}
