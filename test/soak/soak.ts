// `npm run soak -- --minutes 20`: three real nodes under load, faults and churn, watched for what grows. Prints what it
// saw, and exits with 1 if something leaks, a request failed without a cause, or a node served what is stale.
import { systemClock } from '../../src/base/clock.ts'
import { table } from '../support/measure.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { NodeProcess } from '../support/node-process.ts'
import { removeServers } from '../support/postgres.ts'
import { numberOf, toolArgs } from '../support/tool-args.ts'
import { Traffic } from '../support/traffic.ts'
import { Churn } from './churn.ts'
import type { Usage } from './usage.ts'
import { hasGrown, trendOf } from './verdict.ts'
import { Watch } from './watch.ts'

/** 10,000 in 20 minutes. */
const writesPerS = 8.4
const lives = 3
/** Between two faults, of which there are three kinds. */
const faultMs = 20_000
/** The least that the setting takes: the log is to be pruned in a run of minutes. */
const keepEvents = 1000
/** Pruning looks once a minute, so this much more may lie there. */
const unprunedMost = keepEvents + 90 * 2 * writesPerS

/** What each measurement may grow by, as a share and in units, before it is called a leak. */
const tolerated: Readonly<Record<keyof Usage, readonly [share: number, noise: number]>> = {
  residentMb: [0.15, 24],
  heapMb: [0.25, 16],
  handles: [0, 6],
  sockets: [0, 6],
  threads: [0, 2],
}

const usage = 'npm run soak -- [--minutes N]'
const { values } = toolArgs(usage, { options: { minutes: { type: 'string', default: '20' } } })
const minutes = numberOf(usage, 'minutes', values.minutes)
try {
  process.exitCode = (await soak(minutes * 60_000)) ? 0 : 1
} finally {
  await removeServers()
}

async function soak(durationMs: number): Promise<boolean> {
  const group = await NodeGroup.make()
  try {
    group.upstream.answer = (_, response) => response.end()
    const nodes = []
    const { host, port, user, password, database } = group.database
    // A machine that is busy with all this takes its time to connect.
    const postgres = { host, port, user, password, database, connect_timeout: '10s' }
    for (let n = 0; n < 3; n++)
      nodes.push(await group.start({ workers: 2, log: { keep_events: keepEvents }, postgres }))
    const [first, second, third] = nodes as [NodeProcess, NodeProcess, NodeProcess]
    await first.ask('POST', '/apis', {
      name: 'steady',
      request_path: '/steady',
      upstream_url: group.upstream.url,
    })

    const end = systemClock.monotonic() + durationMs
    // The third one is restarted: what it refuses meanwhile says nothing.
    const traffic = [first, second].map((node) => new Traffic(node, ['/steady', '/steady/more']))
    const churn = new Churn(nodes, group.upstream.url, { writesPerS, lives })
    const watched = [first, second]
    const watch = new Watch(watched, () => countEvents(group))
    await Promise.all([watch.run(end), makeFaults(group, second, third, end)])
    const counts = await churn.stop()
    const answers = await Promise.all(traffic.map((one) => one.stop()))
    return report({ watch, counts, answers: answers.flatMap((one) => [...one.values()]) })
  } finally {
    await group.remove()
  }
}

/** One after the other: a restart, all connections to the datastore cut, a node that stands still. */
async function makeFaults(
  group: NodeGroup,
  paused: NodeProcess,
  restarted: NodeProcess,
  end: number,
): Promise<void> {
  const kinds = [
    async () => {
      restarted.signal('SIGTERM')
      await restarted.ended()
      await restarted.launch()
    },
    async () => {
      await group.database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and application_name like 'troop%'`,
      )
    },
    async () => {
      paused.signal('SIGSTOP')
      await systemClock.sleep(1500)
      paused.signal('SIGCONT')
    },
  ]
  for (let n = 0; systemClock.monotonic() + faultMs < end; n++) {
    await systemClock.sleep(faultMs)
    await kinds[n % kinds.length]?.()
  }
}

async function countEvents(group: NodeGroup): Promise<number> {
  const [row] = await group.database.query<{ count: string }>('select count(*) from events')
  return Number(row?.count)
}

interface Seen {
  readonly watch: Watch
  readonly counts: Churn['counts']
  readonly answers: readonly Readonly<Record<string, number>>[]
}

function report({ watch, counts, answers }: Seen): boolean {
  const faults: string[] = []
  const rows = [['node', 'measure', 'early', 'late', 'per hour']]
  for (const node of watch.nodes.keys()) {
    for (const measure of Object.keys(tolerated) as (keyof Usage)[]) {
      const trend = trendOf(watch.series(node, measure))
      const name = `node ${node + 1}`
      rows.push([name, measure, ...[trend.early, trend.late, trend.perHour].map((value) => value.toFixed(1))])
      if (hasGrown(trend, ...tolerated[measure])) faults.push(`${measure} of ${name} grows`)
    }
  }
  const mostEvents = Math.max(...watch.events)
  if (mostEvents > unprunedMost)
    faults.push(`the log had ${mostEvents} rows, and at most ${unprunedMost} are expected`)
  if (counts.stale > 0) faults.push(`${counts.stale} answers were stale`)
  const total = new Map<string, number>()
  for (const one of answers)
    for (const [status, n] of Object.entries(one)) total.set(status, (total.get(status) ?? 0) + n)
  const failed = [...total].filter(([status]) => status !== '200')
  if (failed.length > 0)
    faults.push(`requests failed: ${failed.map(([status, n]) => `${n} × ${status}`).join(', ')}`)

  const lines = [
    table(rows),
    `log: ${mostEvents} rows at most, ${watch.events.at(-1)} in the end`,
    `writes: ${counts.complete} complete, ${counts.incomplete} incomplete, ${counts.refused} refused`,
    `looks after a complete write: ${counts.looked}, stale ${counts.stale}, unanswered ${counts.unanswered}`,
    `steady requests: ${total.get('200') ?? 0} answered, ${failed.reduce((sum, [, n]) => sum + n, 0)} failed`,
    faults.length > 0 ? `leaks or faults: ${faults.join('; ')}` : 'nothing leaks, nothing failed',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
  return faults.length === 0
}
