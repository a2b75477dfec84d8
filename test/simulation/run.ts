// One plan, run.
import type { Plan } from './plan.ts'
import { inTurn } from './scheduler.ts'
import type { Kept } from './trace.ts'
import { type Outcome, World } from './world.ts'

/** @param kept  what the outcome has of the trace */
export async function runPlan(plan: Plan, kept: Kept = 'nothing'): Promise<Outcome> {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => void unhandled.push(reason)
  // Mocha has a listener of its own, by which the test that runs fails.
  const isAlone = process.listenerCount('unhandledRejection') === 0
  if (isAlone) process.on('unhandledRejection', note)
  try {
    const outcome = await inTurn(() => new World(plan, kept).run())
    await new Promise((resolve) => setImmediate(resolve))
    const [reason] = unhandled
    if (unhandled.length === 0 || outcome.violation) return outcome
    const what = `a promise was rejected, and nobody heard of it: ${String(reason)}`
    return { ...outcome, violation: { claim: 'health', what, atMs: outcome.spanMs } }
  } finally {
    process.off('unhandledRejection', note)
  }
}
