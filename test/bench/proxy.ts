// What a proxied request costs a node with one worker, plain and with plugins, in each lane, beside what it costs nginx, haproxy and
// other gateways: all on the same core, the upstream and what asks on another one, taking turns. Three parts: `cost` of the smallest
// request, `bodies` of larger ones and by HTTPS, and `latency` at fixed rates.
import { markdownTable } from '../support/measure.ts'
import { findProgram } from '../support/program.ts'
import type { BenchOptions } from './bench.ts'
import { sizes } from './proxy/answering.ts'
import { compare, head as comparisonHead, type Shape } from './proxy/comparison.ts'
import { compareLatencies, type LatencyOptions, head as latencyHead } from './proxy/latency.ts'
import { type Contender, type PluginSet, pluginSets, type Stage, setStage } from './proxy/stage.ts'

type Part = (stage: Stage, plan: Plan, report: (line: string) => void) => Promise<string>

interface Plan {
  /** Turns of one second each: many short ones tell more than a few long ones. */
  readonly costRounds: number
  /** What Troop has to do in them. */
  readonly sets: readonly PluginSet[]
  readonly bodyRounds: number
  readonly warmUps: number
  readonly shapes: readonly Shape[]
  readonly latency: Omit<LatencyOptions, 'report'>
}

const smallest: Shape = { name: 'GET, 128 B', ending: '/128b' }

const shapes: readonly Shape[] = [
  { name: 'GET, answered with 10 KiB', ending: '/10k' },
  { name: 'GET, answered with 1 MiB', ending: '/1m', connections: 4 },
  { name: 'POST of 10 KiB', ending: '/swallow', bodyBytes: sizes['10k'] },
  { name: 'POST of 1 MiB', ending: '/swallow', bodyBytes: sizes['1m'], connections: 4 },
  { name: 'HTTPS, GET, 128 B', ending: '/128b', tls: true },
  { name: 'HTTPS, GET, answered with 1 MiB', ending: '/1m', connections: 4, tls: true },
  { name: 'HTTPS, POST of 10 KiB', ending: '/swallow', bodyBytes: sizes['10k'], tls: true },
  { name: 'HTTPS, GET, 128 B, a connection for each', ending: '/128b', tls: true, closing: true },
]

const full: Plan = {
  costRounds: 9,
  sets: pluginSets,
  bodyRounds: 5,
  warmUps: 3,
  shapes,
  latency: { shares: [0.25, 0.5, 0.75], rounds: 3, seconds: 2, warmUpSeconds: 1 },
}
const quickly: Plan = { ...full, costRounds: 5, bodyRounds: 3, latency: { ...full.latency, rounds: 2 } }
const toySize: Plan = {
  costRounds: 1,
  sets: [],
  bodyRounds: 1,
  warmUps: 0,
  shapes: shapes.filter(({ tls, bodyBytes }) => tls && bodyBytes !== undefined),
  latency: { shares: [0.1], rounds: 1, seconds: 0.3, warmUpSeconds: 0.2 },
}

const parts: Readonly<Record<string, Part>> = { cost, bodies, latency }

export async function bench(options: BenchOptions): Promise<string> {
  const { toy, quick = false, report = () => {} } = options
  // What `cost` does, `bodies` does as well.
  const only = options.only ?? Object.keys(parts).filter((part) => !(toy && part === 'cost'))
  const nginx = findProgram('nginx')
  if (nginx === undefined || findProgram('wrk') === undefined)
    return 'needs nginx and wrk: nothing was measured'
  const plan = toy ? toySize : quick ? quickly : full
  const chosen = only.map((name) => {
    const part = parts[name]
    if (part === undefined)
      throw new Error(`--only: expected ${Object.keys(parts).join(' or ')}, got "${name}"`)
    return part
  })
  await using releases = new AsyncDisposableStack()
  // Toy size does without what has to be fetched.
  const withGateways = !toy && only.includes('cost')
  const stage = await setStage({ nginx, withGateways, releases })
  const tables: string[] = []
  for (const part of chosen) tables.push(await part(stage, plan, report))
  const { cores, missing } = stage
  const notice = missing.length > 0 ? `\n\nleft out, since it can't be had here: ${missing.join(', ')}` : ''
  return `${cores.machine}${notice}\n\n${tables.join('\n\n')}`
}

async function cost(stage: Stage, { costRounds, sets, warmUps }: Plan, report: (line: string) => void) {
  const { nginx, haproxy, gateways, troop } = stage
  const ours = sets.flatMap((set) => [troop(set).fast, troop(set).ordinary])
  const contenders = [nginx, ...present(haproxy), ...ours, ...gateways]
  const options = { rounds: costRounds, warmUps, seconds: 1, report }
  return markdownTable([comparisonHead, ...(await compare(stage, smallest, contenders, options))])
}

async function bodies(stage: Stage, plan: Plan, report: (line: string) => void) {
  const { nginx, haproxy, troop } = stage
  const { fast, ordinary } = troop('plain')
  const contenders = [nginx, ...present(haproxy), fast, ordinary]
  const options = { rounds: plan.bodyRounds, warmUps: plan.warmUps, seconds: 1, report }
  const rows: string[][] = []
  for (const shape of plan.shapes) {
    const compared = await compare(stage, shape, contenders, options)
    rows.push(...compared.map((row, i) => [i === 0 ? shape.name : '', ...row]))
  }
  return markdownTable([['request', ...comparisonHead], ...rows])
}

async function latency(stage: Stage, plan: Plan, report: (line: string) => void) {
  const { fast, ordinary } = stage.troop('plain')
  const options = { ...plan.latency, report }
  return markdownTable([
    latencyHead,
    ...(await compareLatencies(stage, [stage.nginx, fast, ordinary], options)),
  ])
}

function present(contender: Contender | undefined): Contender[] {
  return contender === undefined ? [] : [contender]
}
