// What a change does to traffic: a node with two workers is asked at a fixed rate while its Admin API is told, again and again, to
// change what the requests go by. How long after the commit an answer was still by the old state, and how long requests took
// around a change, beside the moments before it.
import { availableParallelism, loadavg } from 'node:os'
import { inMs, markdownTable, median, p50p99, quantile } from '../support/measure.ts'
import { Nginx, type NginxPlace } from '../support/nginx.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testServer } from '../support/postgres.ts'
import { findProgram } from '../support/program.ts'
import type { BenchOptions } from './bench.ts'
import { type Change, changing, type Kind, kinds } from './changes/changing.ts'
import { type Effect, effectsOf } from './changes/effects.ts'
import { askAtRate } from './proxy/rate.ts'

interface Plan {
  /** Besides the one that is asked for. */
  readonly apis: readonly number[]
  readonly seconds: number
  readonly requestsPerS: number
}

const full: Plan = { apis: [10, 100_000], seconds: 40, requestsPerS: 1000 }
const quickly: Plan = { ...full, seconds: 15 }
const toySize: Plan = { apis: [10], seconds: 2.5, requestsPerS: 200 }

/** As in the proxy's own benchmark: the kernel shares them out to both workers. */
const connections = 50

/** What is aimed at: until a change is in effect, and what it may add to a request. */
const aimMs = 5

const head = `changed,APIs,changes,answered ms p50,p99,old after the commit ms p50,most,within ${aimMs} ms,stale`
const latencyHead =
  'changed,APIs,longest wait before ms p50,most,' +
  `longest after ms p50,most,above ${aimMs} ms before,after,middle difference`

export async function bench({ toy, quick = false, report = () => {} }: BenchOptions): Promise<string> {
  const nginx = findProgram('nginx')
  if (nginx === undefined) return 'needs nginx: nothing was measured'
  const machine = `${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)} before it began`
  const plan = toy ? toySize : quick ? quickly : full
  await using releases = new AsyncDisposableStack()
  // The moment of a commit is asked of Postgres.
  const server = await testServer({ track_commit_timestamp: 'on' })
  releases.defer(() => server.remove())
  const upstream = await Nginx.start(nginx, versions)
  releases.defer(() => upstream.stop())
  const rows: string[][] = []
  const latencyRows: string[][] = []
  for (const apis of plan.apis) {
    await using ends = new AsyncDisposableStack()
    const database = await server.database()
    ends.defer(() => database.drop())
    await fill(database, apis)
    const node = await NodeProcess.start(database, { workers: 2 })
    ends.defer(() => node.remove())
    for (const kind of kinds) {
      const effects = await measure(node, database, kind, { upstreamUrl: upstream.url, ...plan })
      rows.push([kind, String(apis + 1), ...cellsOf(effects)])
      latencyRows.push([kind, String(apis + 1), ...latencyCellsOf(effects)])
      report(`${rows.at(-1)?.join('  ')}\n${latencyRows.at(-1)?.join('  ')}`)
    }
  }
  const tables = [
    [head.split(','), ...rows],
    [latencyHead.split(','), ...latencyRows],
  ]
  return [machine, ...tables.map(markdownTable)].join('\n\n')
}

/** An upstream that says which number its path ends with. */
function versions({ port }: NginxPlace): string {
  const answer = `return 200 "${'x'.repeat(128)}"`
  return `keepalive_requests 1000000000;
    server {
      listen 127.0.0.1:${port};
      location / { ${answer}; }
      location ~ /v(\\d+)$ { add_header X-Version $1; ${answer}; }
    }`
}

async function fill(database: TestDatabase, apis: number): Promise<void> {
  await database.query(
    `insert into apis (name, request_path, upstream_url)
     select 'other-' || i, '/other-' || i, 'http://127.0.0.1:9' from generate_series(1, $1::int) i`,
    [apis],
  )
  // As it would be some time after so many rows came.
  await database.query('analyze apis')
}

interface MeasureOptions extends Plan {
  readonly upstreamUrl: string
}

async function measure(
  node: NodeProcess,
  database: TestDatabase,
  kind: Kind,
  { upstreamUrl, requestsPerS, seconds }: MeasureOptions,
): Promise<readonly Effect[]> {
  const change = await changing(node, database, kind, upstreamUrl)
  const port = Number(new URL(node.proxy).port)
  const plan = { port, path: '/watched', headers: {}, requestsPerS, seconds, connections }
  const over = new AbortController()
  const load = askAtRate(plan).finally(() => over.abort())
  const changes: Change[] = []
  const write = async () => {
    for (let version = 1; !over.signal.aborted; version++) changes.push(await change(version))
  }
  const [result] = await Promise.all([load, write()])
  return effectsOf(changes, result)
}

function cellsOf(effects: readonly Effect[]): string[] {
  const old = effects.map(({ oldMs }) => oldMs)
  const stale = effects.reduce((sum, effect) => sum + effect.stale, 0)
  return [
    String(effects.length),
    ...p50p99(effects.map(({ answeredMs }) => answeredMs)),
    ...middleAndMost(old),
    percent(old.filter((ms) => ms <= aimMs).length / effects.length),
    String(stale),
  ]
}

/** The longest waits of all windows before a change and of all with one, and the middle of what lies between the two of one change. */
function latencyCellsOf(effects: readonly Effect[]): string[] {
  const before = effects.map(({ longestBeforeMs }) => longestBeforeMs)
  const after = effects.map(({ longestAfterMs }) => longestAfterMs)
  return [
    ...[before, after].flatMap(middleAndMost),
    ...[before, after].map((waits) => percent(waits.filter((ms) => ms > aimMs).length / effects.length)),
    inMs(median(effects.map((effect) => effect.longestAfterMs - effect.longestBeforeMs))),
  ]
}

function middleAndMost(values: readonly number[]): [string, string] {
  return [inMs(median(values)), inMs(quantile(values, 1))]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}
