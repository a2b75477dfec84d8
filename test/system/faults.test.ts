// The most telling of the faults, on three real nodes under load; `npm run faults` has them all (docs/reliability.md).
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { root } from '../support/sources.ts'
import { type Fault, faults } from './faults/faults.ts'
import { type Answer, type Committed, History, type Write } from './faults/history.ts'
import { judge } from './faults/judge.ts'
import { pagePath } from './faults/report.ts'
import { Trial } from './faults/trial.ts'

describe('a cluster under load', function () {
  this.timeout(180_000)
  let trial: Trial

  before(async () => {
    trial = await Trial.start()
  })
  after(() => trial?.remove())

  for (const name of [
    'Postgres is killed, and started again',
    'connections to Postgres break, twenty a second',
    'on the port of a dead node something answers garbage, and says it to the others',
  ]) {
    it(`loses nothing and serves nothing stale while ${name}`, async () => {
      const fault = faults.find((one) => one.name === name) as Fault
      const { lost, stale, untrue, failed, writes } = await trial.observe(fault.inflict)
      expect({ lost, stale, untrue, failed }).to.deep.equal({ lost: [], stale: [], untrue: [], failed: {} })
      expect(writes.complete).to.be.above(0)
    })
  }
})

describe('the judge of what clients saw', () => {
  const at = (times: Partial<Answer>): Answer => ({
    ...{ register: 'r', node: 0, sentAt: 30, endedAt: 31, status: 200 },
    ...times,
  })
  const write = (value: string, change: Partial<Write> = {}): Write => ({
    ...{ register: 'r', value, node: 0, sentAt: 10, endedAt: 20, outcome: 'complete', lagging: [] },
    ...change,
  })
  const log: readonly Committed[] = ['r-1', 'r-2', 'r-3'].map((value, i) => ({
    register: 'r',
    value,
    position: i + 1,
  }))
  const judged = (writes: readonly Write[], answers: readonly Answer[], last: readonly Answer[] = []) => {
    const history = new History()
    history.writes.push(...writes)
    history.answers.push(...answers)
    return judge(history, log, last)
  }

  it('finds a change that was answered as done and is not in the log', () => {
    expect(judged([write('r-9')], []).lost).to.have.length(1)
    expect(judged([write('r-9', { outcome: 'unknown' })], []).lost).to.deep.equal([])
  })

  it('finds a node that ends with anything but the newest value', () => {
    expect(judged([], [], [at({ shown: 'r-2' })]).lost).to.have.length(1)
    expect(judged([], [], [at({ shown: 'r-3' })]).lost).to.deep.equal([])
  })

  it('finds a write that was answered as not done and is in the log', () => {
    expect(judged([write('r-2', { outcome: 'refused' })], []).untrue).to.have.length(1)
  })

  it('finds an answer to a request that came after a complete write, and shows what was before', () => {
    expect(judged([write('r-2')], [at({ shown: 'r-1' })]).stale).to.have.length(1)
    expect(judged([write('r-2')], [at({ shown: 'r-2' })]).stale).to.deep.equal([])
    expect(judged([write('r-2')], [at({ shown: 'r-1', sentAt: 19 })]).stale, 'asked before').to.deep.equal([])
    expect(judged([write('r-2')], [at({ shown: 'r-7' })]).stale, 'never written').to.have.length(1)
  })

  it('allows it to the nodes that the write’s answer named, and to no others', () => {
    const incomplete = write('r-2', { outcome: 'incomplete', lagging: [1] })
    expect(judged([incomplete], [at({ shown: 'r-1', node: 1 })])).to.deep.include({ stale: [], older: 1 })
    expect(judged([incomplete], [at({ shown: 'r-1', node: 2 })]).stale).to.have.length(1)
  })

  it('finds a key that is denied though it is in force, unless the next one may be already', () => {
    const next = write('r-3', { sentAt: 40, endedAt: 50 })
    expect(judged([write('r-2'), next], [at({ status: 403, denied: 'r-2' })]).stale).to.have.length(1)
    const late = at({ status: 403, denied: 'r-2', endedAt: 41 })
    expect(judged([write('r-2'), next], [late]).stale).to.deep.equal([])
    expect(judged([write('r-2'), next], [at({ status: 403, denied: 'r-1' })]).stale).to.deep.equal([])
  })
})

describe('docs/reliability.md', () => {
  it('has a row for each fault', () => {
    const page = readFileSync(join(root, pagePath), 'utf8')
    expect(faults.filter(({ name }) => !page.includes(`| ${name} |`)).map(({ name }) => name)).to.deep.equal(
      [],
    )
  })
})
