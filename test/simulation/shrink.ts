// Less of a plan that fails all the same: faults and writes are left out, half of them and then less at once, until none
// can be.
import type { Plan } from './plan.ts'
import { runPlan } from './run.ts'
import type { Outcome } from './world.ts'

export interface Shrunk {
  readonly plan: Plan
  readonly outcome: Outcome
  readonly runs: number
}

/** @param runsMax  a bound, since each takes as long as the failure took */
export async function shrink(plan: Plan, outcome: Outcome, runsMax = 300): Promise<Shrunk> {
  let best: Shrunk = { plan, outcome, runs: 0 }
  let runs = 0
  const claim = outcome.violation?.claim
  const isBetter = async (smaller: Plan): Promise<boolean> => {
    runs++
    const found = await runPlan(smaller)
    // Another failure would be another story.
    if (found.violation?.claim !== claim) return false
    best = { plan: smaller, outcome: found, runs }
    return true
  }
  for (const part of ['faults', 'operations'] as const) {
    for (
      let size = Math.ceil(best.plan[part].length / 2);
      size >= 1;
      size = size > 1 ? Math.ceil(size / 2) : 0
    ) {
      for (let at = 0; at < best.plan[part].length && runs < runsMax; ) {
        const left = (best.plan[part] as readonly unknown[]).toSpliced(at, size)
        if (!(await isBetter({ ...best.plan, [part]: left }))) at += size
      }
    }
  }
  return { ...best, runs }
}
