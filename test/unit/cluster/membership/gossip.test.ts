import { expect } from 'chai'
import { Gossip } from '../../../../src/cluster/membership/gossip.ts'

describe('gossip', () => {
  it('tells news ⌈repeats × log2(n + 1)⌉ times and then no more', () => {
    for (const [members, times] of [
      [1, 3],
      [3, 6],
      [30, 15],
    ] as const) {
      const gossip = new Gossip({ repeats: 3, perMessageMax: 10 })
      gossip.spread('a')
      const told = Array.from({ length: 40 }, () => gossip.take(members)).filter((names) => names.length > 0)
      expect(told).to.have.length(times)
      expect(gossip.waiting).to.equal(0)
    }
  })

  it('tells the newest first, and no more than the bound at once', () => {
    const gossip = new Gossip({ repeats: 3, perMessageMax: 2 })
    for (const name of ['a', 'b', 'c']) gossip.spread(name)
    expect(gossip.take(10)).to.deep.equal(['c', 'b'])
    expect(gossip.take(10)).to.deep.equal(['a', 'c'])
  })

  it('begins anew with newer news of the same member', () => {
    const gossip = new Gossip({ repeats: 1, perMessageMax: 2 })
    gossip.spread('a')
    gossip.take(3)
    gossip.spread('a')
    expect([gossip.take(3), gossip.take(3), gossip.take(3)]).to.deep.equal([['a'], ['a'], []])
  })

  it('holds one entry a member however often there is news', () => {
    const gossip = new Gossip({ repeats: 3, perMessageMax: 2 })
    for (let i = 0; i < 1000; i++) gossip.spread(`n${i % 5}`)
    expect(gossip.waiting).to.equal(5)
  })
})
