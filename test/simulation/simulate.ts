// npm run simulate: runs seeds and says what happened. docs/simulation.md has the rest.
import { parseArgs } from 'node:util'
import { type FaultKind, faultKinds } from './faults.ts'
import { Marks, soakSeedsMin } from './marks.ts'
import { type Plan, planOf } from './plan.ts'
import { countsOf, failureOf, rangesOf } from './report.ts'
import { runPlan } from './run.ts'
import { shrink } from './shrink.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    count: { type: 'string' },
    minutes: { type: 'string' },
    nodes: { type: 'string' },
    faults: { type: 'string' },
    trace: { type: 'boolean', default: false },
    'keep-faults': { type: 'string' },
    'keep-writes': { type: 'string' },
  },
})

const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : Number(values.seed)
const endMs =
  values.minutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(values.minutes) * 60_000
const count = values.count ? Number(values.count) : values.minutes ? Number.POSITIVE_INFINITY : 1
const faults = faultsNamed(values.faults)
const nodes = values.nodes ? Number(values.nodes) : undefined

const marks = new Marks()
const began = process.cpuUsage()
let runs = 0
let failures = 0
for (; runs < count && Date.now() < endMs && failures < 5; runs++) {
  const plan = kept(planOf({ seed: seed + runs, nodes, faults }))
  const outcome = await runPlan(plan, values.trace ? 'lines' : count === 1 ? 'hash' : 'nothing')
  marks.add(outcome.marks)
  for (const line of outcome.lines) process.stdout.write(`${line}\n`)
  if (outcome.violation) {
    failures++
    const isPart = values['keep-faults'] !== undefined || values['keep-writes'] !== undefined
    const shrunk = isPart ? { plan, outcome, runs: 0 } : await shrink(plan, outcome)
    const { lines } = await runPlan(shrunk.plan, 'lines')
    process.stdout.write(failureOf(shrunk, lines, commandFor(shrunk.plan)))
  } else if (count === 1) {
    process.stdout.write(`seed ${plan.seed}: every claim holds; trace ${outcome.hash}\n`)
  }
}
if (runs > 1) {
  const { user, system } = process.cpuUsage(began)
  const seconds = (user + system) / 1e6
  process.stdout.write(countsOf(marks))
  const speed = `${(runs / seconds).toFixed(1)} for each second of one core`
  const { unreached } = marks
  const isSoak = runs >= soakSeedsMin
  if (unreached.length > 0) process.stdout.write(`\nnever: ${unreached.join('; ')}\n`)
  if (isSoak && unreached.length > 0) process.exitCode = 1
  process.stdout.write(`\n${runs} seeds from ${seed}: ${failures} failed; ${speed}\n`)
}
if (failures > 0) process.exitCode = 1

function faultsNamed(names: string | undefined): readonly FaultKind[] | undefined {
  if (names === undefined) return undefined
  if (names === 'all') return faultKinds
  if (names === 'none') return []
  const known = names.split(',').map((name) => name.trim()) as FaultKind[]
  const unknown = known.find((name) => !faultKinds.includes(name))
  if (unknown !== undefined)
    throw new Error(`no fault is called "${unknown}"; there are ${faultKinds.join(', ')}`)
  return known
}

/** What `--keep-faults 3,7` and `--keep-writes 0-4,9` leave of a plan. */
function kept(plan: Plan): Plan {
  const keep = <T extends { readonly id: number }>(all: readonly T[], text: string | undefined) => {
    if (text === undefined) return all
    const ids = new Set(
      text.split(',').flatMap((range) => {
        const [from = '', to = from] = range.split('-')
        return range === ''
          ? []
          : Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i)
      }),
    )
    return all.filter(({ id }) => ids.has(id))
  }
  return {
    ...plan,
    faults: keep(plan.faults, values['keep-faults']),
    operations: keep(plan.operations, values['keep-writes']),
  }
}

function commandFor(plan: Plan): string {
  const options = [
    `--seed ${plan.seed}`,
    ...(values.nodes ? [`--nodes ${values.nodes}`] : []),
    ...(values.faults ? [`--faults '${values.faults}'`] : []),
    `--keep-faults '${rangesOf(plan.faults)}' --keep-writes '${rangesOf(plan.operations)}' --trace`,
  ]
  return `npm run simulate -- ${options.join(' ')}`
}
