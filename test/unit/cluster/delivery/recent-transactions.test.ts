import { expect } from 'chai'
import { RecentTransactions } from '../../../../src/cluster/delivery/recent-transactions.ts'
import type { LogEvent } from '../../../../src/event-log/event.ts'

describe('recent transactions', () => {
  const transaction = (first: number, count = 1, body = '{}'): LogEvent[] =>
    Array.from({ length: count }, (_, i) => ({ position: first + i, first, digest: 'd', body }))
  const positions = (events: readonly LogEvent[]) => events.map(({ position }) => position)

  it('hand out what follows a position, whole and without a gap', () => {
    const recent = new RecentTransactions()
    for (const events of [transaction(5), transaction(6, 3), transaction(9)]) recent.add(events)
    expect(positions(recent.after(4, 1000))).to.deep.equal([5, 6, 7, 8, 9])
    expect(positions(recent.after(5, 1000))).to.deep.equal([6, 7, 8, 9])
    expect(positions(recent.after(9, 1000))).to.deep.equal([])
    expect(positions(recent.after(3, 1000)), 'not kept').to.deep.equal([])
    // In the middle of a transaction, which nobody has applied in part.
    expect(positions(recent.after(6, 1000))).to.deep.equal([])
    expect(positions(recent.get(8))).to.deep.equal([6, 7, 8])
    expect(recent.get(7)).to.deep.equal([])
  })

  it('are cut into pages between transactions, and never into nothing', () => {
    const recent = new RecentTransactions()
    recent.add(transaction(1, 2, 'x'.repeat(40)))
    recent.add(transaction(3, 1, 'x'.repeat(40)))
    expect(positions(recent.after(0, 100))).to.deep.equal([1, 2])
    expect(positions(recent.after(0, 120))).to.deep.equal([1, 2, 3])
    expect(positions(recent.after(0, 10))).to.deep.equal([1, 2])
  })

  it('begin anew after a gap, and after one that is too big to hand on', () => {
    const recent = new RecentTransactions()
    recent.add(transaction(1))
    recent.add(transaction(3))
    expect(positions(recent.after(0, 1000))).to.deep.equal([])
    expect(positions(recent.after(2, 1000))).to.deep.equal([3])
    recent.add(transaction(4, 1, 'x'.repeat(600_000)))
    recent.add(transaction(5))
    expect(positions(recent.after(2, 1000))).to.deep.equal([])
    expect(positions(recent.after(4, 1000))).to.deep.equal([5])
  })

  it('keep a bounded number, and a bounded size', () => {
    const recent = new RecentTransactions()
    for (let position = 1; position <= 2000; position++) recent.add(transaction(position))
    expect(positions(recent.after(1999, 1000))).to.deep.equal([2000])
    expect(positions(recent.after(100, 1000))).to.deep.equal([])
    for (let position = 2001; position <= 2100; position++)
      recent.add(transaction(position, 1, 'x'.repeat(500_000)))
    expect(recent.get(2070)).to.have.length(1)
    expect(recent.get(2060)).to.have.length(0)
  })
})
