// What we did not think of: a fixed set of seeds, and as many that nobody has ever run.
import { expect } from 'chai'
import { systemRandom } from '../../src/base/random.ts'
import { planOf } from './plan.ts'
import { failureOf } from './report.ts'
import { runPlan } from './run.ts'
import { shrink } from './shrink.ts'

/** Of each kind. Some seconds of one core; `npm run simulate -- --minutes 30` takes more. */
const seedsEach = 60

/** Fails with the shortest story that there is, and with the command that tells it again. */
async function holds(seed: number): Promise<void> {
  const plan = planOf({ seed })
  const outcome = await runPlan(plan)
  if (!outcome.violation) return
  const shrunk = await shrink(plan, outcome, 60)
  const { lines } = await runPlan(shrunk.plan, 'lines')
  throw new Error(failureOf(shrunk, lines, `npm run simulate -- --seed ${seed}`))
}

describe('a simulated cluster', function () {
  this.timeout(240_000)

  it(`holds to every claim in seeds 1 to ${seedsEach}`, async () => {
    for (let seed = 1; seed <= seedsEach; seed++) await holds(seed)
  })

  const fresh = Math.floor(systemRandom.fraction() * 1e9)
  it(`holds to every claim in seeds ${fresh} to ${fresh + seedsEach - 1}, which are new`, async () => {
    for (let i = 0; i < seedsEach; i++) await holds(fresh + i)
  })

  it('has one history for each seed, to the letter', async () => {
    for (const seed of [3, 61]) {
      const [one, other] = [await runPlan(planOf({ seed }), 'hash'), await runPlan(planOf({ seed }), 'lines')]
      expect(other.hash).to.equal(one.hash)
      expect(other.turns).to.equal(one.turns)
      expect(other.lines).to.not.deep.equal([])
    }
  })
})
