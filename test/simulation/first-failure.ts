// Runs seeds until a claim does not hold, and prints how many that took and which it was; `none` when all hold.
import { planOf } from './plan.ts'
import { runPlan } from './run.ts'

const [first, most] = process.argv.slice(2).map(Number) as [number, number]
let said = 'none'
for (let count = 1; count <= most && said === 'none'; count++) {
  const { violation } = await runPlan(planOf({ seed: first + count - 1 }))
  if (violation) said = `${count} ${violation.claim}`
}
process.stdout.write(`${said}\n`)
// What a mistake left running is not waited for.
process.exit(0)
