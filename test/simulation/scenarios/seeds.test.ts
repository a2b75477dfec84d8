// Seeds that have failed, with what of them is needed for it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Plan, planOf } from '../plan.ts'
import { runPlan } from '../run.ts'

/** Plans that failed, shrunk, as they were made then; `what`: how. */
const failed: readonly { readonly what: string; readonly plan: Plan }[] = JSON.parse(
  readFileSync(join(import.meta.dirname, 'failed-plans.json'), 'utf8'),
)

describe('in a simulated cluster, a seed that has failed', () => {
  it('holds: no write is asked for once everything is to come to rest (217)', () => {
    for (let seed = 200; seed < 300; seed++) {
      const { operations, warmUpMs, unrestMs } = planOf({ seed })
      for (const { atMs } of operations) expect(atMs).to.be.at.most(warmUpMs + unrestMs)
    }
  })

  for (const { what, plan } of failed)
    it(`holds: ${what} (${plan.seed})`, async () => {
      const { violation, lines } = await runPlan(plan, 'lines')
      expect(violation, lines.join('\n')).to.equal(undefined)
    })
})
