import { expect } from 'chai'
import { sumOf } from '../../../src/base/counts.ts'
import { Histogram } from '../../../src/base/histogram.ts'

describe('a histogram', () => {
  it('counts what is at a bound below it, and what is above the last in a bucket of its own', () => {
    const histogram = new Histogram([1, 5])
    for (const value of [0, 1, 1.1, 5, 6, 700]) histogram.observe(value)
    expect(histogram.counts).to.deep.equal([2, 2, 2])
    expect([histogram.count, histogram.sum]).to.deep.equal([6, 713.1])
  })

  it('shows what another measures in the same numbers, and several add up', () => {
    const bounds = [1, 5]
    const shared = [0, 0].map(
      () => new Float64Array(new SharedArrayBuffer(8 * Histogram.lengthFor(bounds))),
    ) as [Float64Array, Float64Array]
    new Histogram(bounds, shared[0]).observe(2)
    new Histogram(bounds, shared[1]).observe(3)
    new Histogram(bounds, shared[1]).observe(9)
    expect(new Histogram(bounds, shared[0]).counts).to.deep.equal([0, 1, 0])
    const all = new Histogram(bounds, sumOf(shared))
    expect([all.counts, all.sum]).to.deep.equal([[0, 2, 1], 14])
  })
})
