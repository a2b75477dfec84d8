// What a cluster of real nodes takes to make a change known and to see that one of them is gone, and what it takes to
// sit idle. The nodes, their Postgres and what asks them share one machine.
import { availableParallelism, loadavg } from 'node:os'
import { systemClock } from '../../src/base/clock.ts'
import { inMs, median, p50p99, table } from '../support/measure.ts'
import { durable, testServer } from '../support/postgres.ts'
import type { BenchOptions } from './bench.ts'
import { timeDetection } from './cluster/detection.ts'
import { type Fleet, type FleetOptions, withFleet } from './cluster/fleet.ts'
import { measureIdle } from './cluster/idle.ts'
import { type ServingOptions, timeServing } from './cluster/serving.ts'
import { timeWrites } from './cluster/writes.ts'

interface Plan {
  readonly sizes: readonly number[]
  /** How often each thing is done. */
  readonly writes: number
  readonly pulls: number
  readonly faults: number
  /** Between two faults. */
  readonly calmMs: number
  /** How long nodes stay idle before it counts: young ones look for others more often. */
  readonly settleMs: number
  readonly idleMs: number
  /** Nodes of each size, and what is measured on them. */
  readonly fleets: readonly (Omit<FleetOptions, 'size'> & { readonly sections: readonly Section[] })[]
}

type Section = (fleet: Fleet, plan: Plan, results: Results) => Promise<void>

/** The tables, each with its head. */
class Results {
  readonly #report: (line: string) => void
  readonly #tables = {
    answers: {
      title: 'Milliseconds from a write to its answer',
      rows: ['nodes,commit p50,p99,no wait p50,p99,all p50,p99,no wait/commit,all/commit,partial'.split(',')],
    },
    served: {
      title: 'Milliseconds from a write to its answer, and until all other nodes serve it',
      rows: ['nodes,answered p50,p99,served by all p50,p99,stale'.split(',')],
    },
    ways: {
      title: 'Milliseconds from the answer until other nodes serve it, by one way alone',
      rows: ['nodes,way,answered p50,on one p50,p99,on all p50,p99'.split(',')],
    },
    members: {
      title: 'Milliseconds until other nodes know',
      rows: ['nodes,what,by one p50,p99,by all p50,p99,false alarms'.split(',')],
    },
    idle: {
      title: 'A node that has nothing to do',
      rows: ['nodes,CPU ms/s,memory MB,sent B/s,transactions/s,false alarms'.split(',')],
    },
  }

  constructor(report: (line: string) => void) {
    this.#report = report
  }

  add(name: 'answers' | 'served' | 'ways' | 'members' | 'idle', fleet: Fleet, ...cells: string[]): void {
    const row = [String(fleet.nodes.length), ...cells]
    this.#tables[name].rows.push(row)
    this.#report(`${name}  ${row.join('  ')}`)
  }

  toString(): string {
    return Object.values(this.#tables)
      .map(({ title, rows }) => `${title}\n\n${table(rows)}`)
      .join('\n\n')
  }
}

const full: Plan = {
  sizes: [3, 10, 30],
  writes: 200,
  pulls: 30,
  faults: 20,
  calmMs: 3000,
  settleMs: 65_000,
  idleMs: 60_000,
  fleets: [
    { sections: [timeAnswers, timeServed, timeMembers] },
    // Nobody reads the log but who is told to.
    { settings: { heartbeat_interval: '1h' }, sections: [timePushed] },
    // Probes would tell who has more: whoever pulls first would hurry the others.
    { apart: true, sections: [timeNotified, timePulled] },
    { relayed: true, sections: [countIdle] },
  ],
}
const toySize: Plan = {
  sizes: [3],
  writes: 3,
  pulls: 1,
  faults: 1,
  calmMs: 500,
  settleMs: 0,
  idleMs: 500,
  fleets: [
    {
      relayed: true,
      sections: [timeAnswers, timeServed, timeNotified, timePushed, timePulled, timeMembers, countIdle],
    },
  ],
}

/** Some ten minutes instead of most of an hour. */
const quickly: Plan = { ...full, writes: 60, pulls: 8, faults: 4, idleMs: 20_000 }

export async function bench({ toy, quick, nodes, report = () => {} }: BenchOptions): Promise<string> {
  const all = toy ? toySize : quick ? quickly : full
  const plan = nodes === undefined ? all : { ...all, sizes: [nodes] }
  const machine = `${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)} before it began`
  const results = new Results(report)
  const server = await testServer(durable)
  try {
    for (const size of plan.sizes) {
      for (const { sections, ...options } of plan.fleets) {
        await withFleet(server, { size, ...options }, async (fleet) => {
          for (const section of sections) await section(fleet, plan, results)
        })
      }
    }
  } finally {
    await server.remove()
  }
  return `${machine}\n\n${results}`
}

async function timeAnswers(fleet: Fleet, { writes }: Plan, results: Results): Promise<void> {
  const { commit, none, all, incomplete } = await timeWrites(fleet, writes)
  const ratio = (times: readonly number[]) => (median(times) / median(commit)).toFixed(2)
  const times = [...p50p99(commit), ...p50p99(none), ...p50p99(all)]
  results.add('answers', fleet, ...times, ratio(none), ratio(all), String(incomplete))
}

async function timeServed(fleet: Fleet, { writes }: Plan, results: Results): Promise<void> {
  const changes = await timeServing(fleet, { rounds: writes, way: 'all' })
  const answered = changes.map(({ sentMs, answeredMs }) => answeredMs - sentMs)
  const served = changes.map(({ sentMs, seenMs }) => Math.max(...seenMs) - sentMs)
  const stale = changes.reduce((sum, change) => sum + change.stale, 0)
  results.add('served', fleet, ...p50p99(answered), ...p50p99(served), String(stale))
}

function timeNotified(fleet: Fleet, { writes }: Plan, results: Results): Promise<void> {
  return timeWay(fleet, 'notify', { way: 'commit', rounds: writes }, results)
}

async function timePushed(fleet: Fleet, { writes }: Plan, results: Results): Promise<void> {
  await fleet.silence()
  await timeWay(fleet, 'push', { way: 'none', rounds: writes }, results)
}

async function timePulled(fleet: Fleet, { pulls }: Plan, results: Results): Promise<void> {
  await fleet.silence()
  // It takes up to a second: asked without a pause, nodes would do nothing else.
  await timeWay(fleet, 'pull', { way: 'commit', rounds: pulls, pauseMs: 2 }, results)
}

async function timeWay(fleet: Fleet, name: string, options: ServingOptions, results: Results): Promise<void> {
  const changes = await timeServing(fleet, options)
  const answered = changes.map(({ sentMs, answeredMs }) => answeredMs - sentMs)
  const one = changes.flatMap(({ answeredMs, seenMs }) => seenMs.map((at) => at - answeredMs))
  const all = changes.map(({ answeredMs, seenMs }) => Math.max(...seenMs) - answeredMs)
  results.add('ways', fleet, name, inMs(median(answered)), ...p50p99(one), ...p50p99(all))
}

async function timeMembers(fleet: Fleet, { faults, calmMs }: Plan, results: Results): Promise<void> {
  results.add('members', fleet, 'start', '', '', '', '', String(fleet.takeAlarms()))
  for (const fault of ['SIGKILL', 'SIGSTOP'] as const) {
    const { failedMs, backMs, falseAlarms } = await timeDetection(fleet, fault, { rounds: faults, calmMs })
    const revival = fault === 'SIGKILL' ? 'joined again' : 'SIGCONT'
    results.add('members', fleet, fault, ...firstAndLast(failedMs), String(falseAlarms))
    results.add('members', fleet, revival, ...firstAndLast(backMs), '')
  }
}

/** Four cells: when the first of the others knew, and when the last did. */
function firstAndLast(rounds: readonly (readonly number[])[]): readonly string[] {
  const first = rounds.map((times) => Math.min(...times))
  const last = rounds.map((times) => Math.max(...times))
  return [...p50p99(first), ...p50p99(last)]
}

async function countIdle(fleet: Fleet, { settleMs, idleMs }: Plan, results: Results): Promise<void> {
  await systemClock.sleep(settleMs)
  const { cpuMsPerS, residentBytes, sentBytesPerS, transactionsPerS } = await measureIdle(fleet, idleMs)
  const memoryMb = residentBytes && residentBytes / 1e6
  const usage = [cpuMsPerS?.toFixed(1) ?? '?', memoryMb?.toFixed(0) ?? '?']
  const rates = [sentBytesPerS.toFixed(0), transactionsPerS.toFixed(2)]
  results.add('idle', fleet, ...usage, ...rates, String(fleet.takeAlarms()))
}
