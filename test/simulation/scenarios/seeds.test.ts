// Seeds that have failed, with what of them is needed for it.
import { expect } from 'chai'
import { planOf } from '../plan.ts'
import { runPlan } from '../run.ts'

describe('in a simulated cluster, a seed that has failed', () => {
  it('holds: a write of a history that was lost is not taken for applied after a jump over its place (150)', async () => {
    const plan = planOf({ seed: 150 })
    const outcome = await runPlan({
      ...plan,
      faults: plan.faults.filter(({ id }) => [0, 1].includes(id)),
      operations: plan.operations.filter(({ id }) => [3, 4, 10].includes(id)),
    })
    expect(outcome.violation).to.equal(undefined)
    expect(outcome.marks.get('load: too-big')).to.be.above(0)
  })

  it('holds: no write is asked for once everything is to come to rest (217)', () => {
    for (let seed = 200; seed < 300; seed++) {
      const { operations, warmUpMs, unrestMs } = planOf({ seed })
      for (const { atMs } of operations) expect(atMs).to.be.at.most(warmUpMs + unrestMs)
    }
  })
})
