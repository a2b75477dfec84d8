import { expect } from 'chai'
import { Counts } from '../../../src/base/counts.ts'

describe('counts', () => {
  it('have a place for each name in numbers that others see', () => {
    const numbers = new Float64Array(2)
    const counts = new Counts(['hits', 'misses'], numbers)
    counts.add('misses')
    counts.add('misses', 3)
    counts.add('hits')
    expect(new Counts(['hits', 'misses'], numbers).all()).to.deep.equal({ hits: 1, misses: 4 })
    counts.clear('misses')
    expect(counts.all()).to.deep.equal({ hits: 1, misses: 0 })
  })
})
