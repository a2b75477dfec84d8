import { expect } from 'chai'
import { sumOf } from '../../../src/base/counts.ts'
import { Counters, counterCount } from '../../../src/proxy/counters.ts'

describe('the counters of a worker', () => {
  it('count every status, and together what is none', () => {
    const counters = new Counters()
    for (const status of [100, 200, 200, 599, 600, 999, 99, Number.NaN]) counters.answered(status)
    expect([...counters.answers]).to.deep.equal([
      [100, 1],
      [200, 2],
      [599, 1],
      ['other', 4],
    ])
  })

  it('keep statuses, latencies and the rest apart, to the last number', () => {
    const numbers = new Float64Array(counterCount)
    const counters = new Counters(numbers)
    counters.answered(999)
    for (const latency of ['proxy', 'upstream', 'request'] as const) counters.took(latency, 1e9)
    counters.failed('exhausted')
    expect([...numbers].filter((number) => number !== 0)).to.deep.equal([1, 1, 1, 1e9, 1, 1e9, 1, 1e9])
    expect(numbers.at(-1)).to.equal(1e9)
  })

  it('add up, and lose with a thread but what it held', () => {
    const arrays = [new Float64Array(counterCount), new Float64Array(counterCount)]
    for (const array of arrays) {
      const counters = new Counters(array)
      counters.add('active', 1)
      counters.add('requests', 1)
      counters.answered(204)
      counters.took('upstream', 7)
    }
    new Counters(arrays[0]).clearHeld()
    const all = new Counters(sumOf(arrays))
    expect([all.get('active'), all.get('requests'), all.answers.get(204)]).to.deep.equal([1, 2, 2])
    expect([all.latency('upstream').count, all.latency('upstream').sum]).to.deep.equal([2, 14])
  })
})
