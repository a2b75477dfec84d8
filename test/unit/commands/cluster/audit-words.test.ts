import { expect } from 'chai'
import { describeAudit, isRight } from '../../../../commands/cluster/audit-words.ts'
import type { Audit } from '../../../../src/control/control.ts'

const audit: Audit = {
  position: 4711,
  digest: 'ab',
  checked: { entries: 12, workerEntries: 1, rows: 400 },
  wrong: [],
  repaired: 0,
  digests: {},
}

describe('what a node found, in words,', () => {
  it('is right when nothing is wrong', () => {
    expect(isRight({ value: audit })).to.equal(true)
    expect(describeAudit({ value: audit })).to.deep.equal({
      text: 'checked 12 entries of the node, 1 entry of its workers, 400 rows at position 4711: all right',
      details: [],
    })
  })

  it('is not right when something was wrong, repaired or not', () => {
    const wrong = [
      { where: 'node', family: 'consumers', count: 1 },
      { where: 'worker 2', family: 'apis', count: 2 },
    ]
    const answer = { value: { ...audit, wrong, repaired: 3, unsettled: 5 } }
    expect(isRight(answer)).to.equal(false)
    const { text, details } = describeAudit(answer)
    expect(text).to.match(/: 3 wrong, 3 of them repaired; 5 changed too often to be compared$/)
    expect(details).to.deep.equal(['node: 1 of consumers', 'worker 2: 2 of apis'])
  })

  it('is not right when there is none', () => {
    const answer = { error: 'no connection to it' }
    expect(isRight(answer)).to.equal(false)
    expect(describeAudit(answer).text).to.equal('no report: no connection to it')
  })
})
