import { expect } from 'chai'
import { hasGrown, trendOf } from './verdict.ts'

const minute = 60_000
const series = (value: (n: number) => number) =>
  Array.from({ length: 40 }, (_, n) => ({ atMs: n * minute, value: value(n) }))

describe('the verdict on a series', () => {
  it('is growth when it rises steadily, however it jumps', () => {
    const trend = trendOf(series((n) => 100 + 2 * n + (n % 2) * 5))
    expect(trend.perHour).to.be.closeTo(120, 5)
    expect(hasGrown(trend, 0.1, 10)).to.equal(true)
  })

  it('is none when it rises while it warms up, or jumps once', () => {
    const trend = trendOf(series((n) => (n === 30 ? 1000 : Math.min(100, 20 * n))))
    expect(trend).to.deep.equal({ early: 100, late: 100, perHour: 0 })
    expect(hasGrown(trend, 0, 0)).to.equal(false)
  })
})
