// Seeds that have failed, with what of them is needed for it.
import { expect } from 'chai'
import { planOf } from '../plan.ts'

describe('in a simulated cluster, a seed that has failed', () => {
  it('holds: no write is asked for once everything is to come to rest (217)', () => {
    for (let seed = 200; seed < 300; seed++) {
      const { operations, warmUpMs, unrestMs } = planOf({ seed })
      for (const { atMs } of operations) expect(atMs).to.be.at.most(warmUpMs + unrestMs)
    }
  })
})
