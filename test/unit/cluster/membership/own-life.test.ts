import { expect } from 'chai'
import type { Row } from '../../../../src/base/json.ts'
import { OwnLife } from '../../../../src/cluster/membership/own-life.ts'
import type { Claim } from '../../../../src/cluster/membership/registry.ts'

const claim: Claim = {
  identity: { name: 'a', address: '10.0.0.1:7946', version: '1', ttlSeconds: 60, refusesAfterMs: null },
  life: 5,
}
const row = (life: number | null, status = 'alive', name = 'a'): Row => ({ name, life, status })

describe('what the log tells of a node’s own life', () => {
  const told = (...changes: [old: Row | null, row: Row | null][]) => {
    const own = new OwnLife()
    const noted = changes.map(([old, row], i) => own.note([{ position: 6 + i, old, new: row }], claim))
    return { own, noted }
  }

  it('is that it stands, whatever becomes of others, and although its row goes and comes back', () => {
    const { own, noted } = told(
      [row(4, 'alive', 'b'), row(4, 'left', 'b')],
      [null, row(null, 'alive', 'b')],
      [row(5), row(5)],
      [row(5), null],
      [null, row(5)],
    )
    expect(noted).to.deep.equal([false, false, false, true, false])
    expect(own.fate(claim, 5)).to.equal('stands')
  })

  it('is not ended by its own registration', () => {
    const own = new OwnLife()
    expect(own.note([{ position: 5, old: row(3), new: row(null) }], claim)).to.equal(false)
    expect(own.fate(claim, 5)).to.equal('stands')
  })

  const takeovers: Readonly<Record<string, [Row | null, Row | null][]>> = {
    'when it is': [[row(5), row(null)]],
    'although that went as well': [
      [row(5), row(null)],
      [row(6), null],
    ],
    'after its row had gone': [
      [row(5), null],
      [null, row(null)],
      [row(7), null],
    ],
    'after it was made to leave': [
      [row(5), row(5, 'left')],
      [row(5, 'left'), row(null)],
    ],
  }
  for (const [how, changes] of Object.entries(takeovers))
    it(`is that another has its name, ${how}`, () => {
      expect(told(...changes).own.fate(claim, 5)).to.equal('taken')
    })

  it('is that it was made to leave, although the row went then', () => {
    expect(told([row(5), row(5, 'left')]).own.fate(claim, 5)).to.equal('forced-out')
    expect(told([row(5, 'left'), null]).own.fate(claim, 5)).to.equal('forced-out')
  })

  it('is nothing where some of the log was jumped over since it stood', () => {
    const { own } = told([row(5), null])
    own.jumped(9)
    expect(own.fate(claim, 8)).to.equal('unknown')
    expect(own.fate(claim, 9)).to.equal('stands')
  })

  it('is told of one life, and says nothing of the next', () => {
    const { own } = told([row(5), row(null)])
    expect(own.fate({ ...claim, life: 6 }, 6)).to.equal('stands')
  })
})
