// npm run simulate: runs seeds and says what happened. docs/simulation.md has the rest.
import { misused, numberOf, toolArgs } from '../support/tool-args.ts'
import { campaign } from './campaign.ts'
import { type FaultKind, faultKinds } from './faults.ts'
import { type Plan, planOf } from './plan.ts'
import { failureOf, rangesOf } from './report.ts'
import { runPlan } from './run.ts'
import { shrink } from './shrink.ts'

const usage =
  'npm run simulate -- [--seed N] [--count N | --minutes N] [--jobs N] [--nodes N] [--faults all|NAME,…] [--trace]'
const { values } = toolArgs(usage, {
  options: {
    seed: { type: 'string' },
    count: { type: 'string' },
    minutes: { type: 'string' },
    jobs: { type: 'string' },
    nodes: { type: 'string' },
    faults: { type: 'string' },
    trace: { type: 'boolean', default: false },
    'keep-faults': { type: 'string' },
    'keep-writes': { type: 'string' },
  },
})

const told = (option: 'seed' | 'count' | 'minutes' | 'jobs' | 'nodes') => {
  const text = values[option]
  return text === undefined ? undefined : numberOf(usage, option, text)
}
const seed = told('seed') ?? Math.floor(Math.random() * 1e9)
const minutes = told('minutes')
const endMs = minutes === undefined ? Number.POSITIVE_INFINITY : Date.now() + minutes * 60_000
const count = told('count') ?? (minutes === undefined ? 1 : Number.POSITIVE_INFINITY)
const faults = faultsNamed(values.faults)
const nodes = told('nodes')
const jobs = told('jobs') ?? 1

const isPart = values['keep-faults'] !== undefined || values['keep-writes'] !== undefined
if (count === 1 || isPart || values.trace) {
  for (let i = 0; i < count; i++) await lookAt(seed + i)
} else {
  const failed = async (at: number) => tell(kept(planOf({ seed: at, nodes, faults })))
  if (!(await campaign({ from: seed, count, endMs, jobs, nodes, faults, failed }))) process.exitCode = 1
}

/** One seed, and all that is to be said of it. */
async function lookAt(one: number): Promise<void> {
  const plan = kept(planOf({ seed: one, nodes, faults }))
  const outcome = await runPlan(plan, values.trace ? 'lines' : 'hash')
  for (const line of outcome.lines) process.stdout.write(`${line}\n`)
  if (!outcome.violation) process.stdout.write(`seed ${one}: every claim holds; trace ${outcome.hash}\n`)
  else {
    process.exitCode = 1
    await tell(plan)
  }
}

/** The shortest story of how a plan fails. */
async function tell(plan: Plan): Promise<void> {
  const outcome = await runPlan(plan)
  const shrunk = isPart ? { plan, outcome, runs: 0 } : await shrink(plan, outcome)
  const { lines } = await runPlan(shrunk.plan, 'lines')
  process.stdout.write(failureOf(shrunk, lines, commandFor(shrunk.plan)))
}

function faultsNamed(names: string | undefined): readonly FaultKind[] | undefined {
  if (names === undefined) return undefined
  if (names === 'all') return faultKinds
  if (names === 'none') return []
  const known = names.split(',').map((name) => name.trim()) as FaultKind[]
  const unknown = known.find((name) => !faultKinds.includes(name))
  if (unknown !== undefined)
    misused(usage, `no fault is called "${unknown}"; there are ${faultKinds.join(', ')}`)
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
