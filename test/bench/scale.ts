// What many APIs, credentials and bytes take: a node with 10 APIs and one with 100,000 and a million credentials take turns, so
// that a slow moment hits both.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { connectionsOf } from '../support/evenness.ts'
import { Exposition } from '../support/exposition.ts'
import { until } from '../support/log.ts'
import { inMs, median, p50p99, table } from '../support/measure.ts'
import { Nginx, type NginxPlace } from '../support/nginx.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { findProgram } from '../support/program.ts'
import { ask } from '../support/raw-http.ts'
import { othersCpuMs, usageOf } from '../support/usage.ts'
import type { BenchOptions } from './bench.ts'
import { Cores } from './proxy/cores.ts'
import { populate, routeOf } from './scale/population.ts'
import { taking } from './scale/taking.ts'
import { asking, askingWithKeys, passingBodies, wrk } from './scale/wrk.ts'

interface Sizes {
  readonly apis: number
  readonly credentials: number
  readonly rounds: number
  readonly seconds: number
  /** Requests. */
  readonly warmUp: number
  readonly changes: number
  /** Keys that are asked with, one after the other. */
  readonly keys: number
  readonly bodyBytes: number
  readonly connections: number
}

const kilo = 1000
const giga = 1000 ** 3
const small = 10
/** Of the many, those that are asked for in turns: more than stay in a processor's caches. */
const spread = 10 * kilo
/** The least that there may be. */
const cacheMB = 32
const passedBytes = 1024 ** 2
/** Before anything is measured, each route is asked for that often, and some are if these are few: code is compiled then. */
const warmUpTimes = 3
const warmUpRequests = 20 * kilo

function sizesOf({ toy, quick = false, long = false }: BenchOptions): Sizes {
  const full = { apis: 100 * kilo, credentials: 1000 * kilo, seconds: 4, warmUp: warmUpRequests }
  if (toy)
    return {
      ...{ apis: 300, credentials: 500, rounds: 1, seconds: 1, warmUp: 0 },
      ...{ changes: 3, keys: 100, bodyBytes: 10 * passedBytes, connections: 200 },
    }
  if (quick) return { ...full, rounds: 3, changes: 50, keys: 20 * kilo, bodyBytes: giga, connections: kilo }
  const asked = long ? { keys: 1000 * kilo, bodyBytes: 10 * giga } : { keys: 100 * kilo, bodyBytes: 2 * giga }
  return { ...full, ...asked, rounds: 7, changes: 200, connections: kilo }
}

/** One of the two that are compared. */
interface Contender {
  readonly name: string
  readonly apis: number
  readonly credentials: number
  readonly database: TestDatabase
  readonly node: NodeProcess
  readonly startedMs: number
  readonly startedBytes: number
}

export async function bench(options: BenchOptions): Promise<string> {
  const nginx = findProgram('nginx')
  if (nginx === undefined || findProgram('wrk') === undefined)
    return 'needs nginx and wrk: nothing was measured'
  const { report = () => {} } = options
  const sizes = sizesOf(options)
  const cores = new Cores()
  await using releases = new AsyncDisposableStack()
  const upstream = await Nginx.start(nginx, upstreamConfig)
  releases.defer(() => upstream.stop())
  await mkdir(join(upstream.place.files, 'big'))
  await writeFile(join(upstream.place.files, 'big', 'file'), Buffer.alloc(passedBytes))
  await cores.pin(upstream.pid, 'others')
  const contenders: Contender[] = []
  for (const { apis, credentials } of [{ apis: small, credentials: 0 }, sizes]) {
    const database = await testDatabase()
    releases.defer(() => database.drop())
    await populate(database, upstream.url, { apis, credentials })
    report(`populated with ${apis} APIs and ${credentials} credentials`)
    const contender = await startedOn(database, apis, credentials)
    releases.defer(() => contender.node.remove())
    await cores.pin(contender.node.pid, 'proxy')
    contenders.push(contender)
  }
  const parts = [
    cores.machine,
    await takings(sizes),
    await starts(contenders),
    await requests(contenders, sizes, cores, report),
    await changes(contenders, sizes, report),
    await distinctKeys(contenders[1] as Contender, sizes, cores, report),
    await bodies(contenders[1] as Contender, sizes, cores, report),
    await evenness(sizes),
  ]
  return parts.join('\n\n')
}

/** Says what it was asked for, and takes whatever it is sent. */
function upstreamConfig({ port, files }: NginxPlace): string {
  return `keepalive_requests 1000000000;
    client_max_body_size 0;
    server {
      listen 127.0.0.1:${port};
      default_type text/plain;
      location / { return 200 $request_uri; }
      location /big/ { root ${files}; if ($request_method = POST) { return 200; } }
    }`
}

async function startedOn(database: TestDatabase, apis: number, credentials: number): Promise<Contender> {
  const { host, port, user, password, database: name } = database
  const node = await NodeProcess.prepare(database, {
    ...{ workers: 1, memory_cache_size: cacheMB },
    postgres: { host, port, user, password, database: name },
  })
  const began = systemClock.monotonic()
  await node.launch()
  const startedMs = systemClock.monotonic() - began
  await until(async () => (await scrape(node)).value('troop_filter_in_use') === 1)
  const { residentBytes } = await usageOf(node.pid)
  return {
    ...{ name: `${apis} APIs, ${credentials} credentials`, apis, credentials },
    ...{ database, node, startedMs, startedBytes: residentBytes },
  }
}

/** What holds up a worker's event loop, by itself and in this process. */
async function takings({ apis, changes: count }: Sizes): Promise<string> {
  const rows = [['a worker takes', '200 of them, ms p50', 'p99', 'the seed, ms', 'a change, ms p50', 'p99']]
  for (const among of [small, apis / small, apis]) {
    const { partsMs, seedMs, changesMs } = await taking(among, count)
    rows.push([`${among} APIs`, ...p50p99(partsMs), seedMs.toFixed(2), ...p50p99(changesMs)])
  }
  return table(rows)
}

/** Until the proxy is open, and what is in memory when the keys are known too. */
async function starts(contenders: readonly Contender[]): Promise<string> {
  const rows = contenders.map(({ name, startedMs, startedBytes, node }) => [
    name,
    inMs(startedMs),
    inMB(startedBytes),
    String(node.output.match(/are loading|is loading/g)?.length ?? 0),
  ])
  return table([['a node with', 'starts in ms', 'resident MB', 'lines of progress'], ...rows])
}

/** Processor time of a request: few routes among few APIs, the same among many, and many among many. */
async function requests(
  [few, many]: readonly Contender[],
  { rounds, seconds, apis, warmUp }: Sizes,
  { besides }: Cores,
  report: (line: string) => void,
): Promise<string> {
  const first = Array.from({ length: small }, (_, i) => routeOf(i))
  const count = Math.min(spread, apis)
  const spaced = Array.from({ length: count }, (_, i) => routeOf(i * Math.floor(apis / count)))
  const cases = [
    { name: `${small} routes of ${small}`, routes: first, contender: few as Contender },
    { name: `${small} routes of ${apis}`, routes: first, contender: many as Contender },
    { name: `${count} routes of ${apis}`, routes: spaced, contender: many as Contender },
  ]
  const taken = cases.map((): number[] => [])
  const asked = new Map<object, number>()
  const turn = async (one: (typeof cases)[number]) => {
    const { routes, contender } = one
    const before = asked.get(one) ?? 0
    const taken = await wrk(contender.node.pid, {
      ...{ url: contender.node.proxy, script: asking(routes, before), connections: 50, seconds },
      prefix: besides,
    })
    asked.set(one, before + taken.requests)
    return taken
  }
  // What is not in memory yet is read, and code compiled.
  for (const one of cases) {
    const wanted = warmUp === 0 ? 0 : Math.max(warmUp, one.routes.length * warmUpTimes)
    while ((asked.get(one) ?? 0) < wanted) await turn(one)
  }
  for (let round = 0; round < rounds; round++) {
    for (const [i, one] of cases.entries()) {
      const { cpuUs } = await turn(one)
      report(`${one.name}: ${cpuUs.toFixed(1)} µs`)
      taken[i]?.push(cpuUs)
    }
  }
  const rows = cases.map(({ name }, i) => {
    const ratios = (taken[i] ?? []).map((us, round) => us / (taken[0]?.[round] ?? Number.NaN))
    const shown = [median(ratios), Math.min(...ratios), Math.max(...ratios)]
    return [name, median(taken[i] ?? []).toFixed(1), ...shown.map((ratio) => ratio.toFixed(2))]
  })
  return table([['requests', 'CPU µs', '× few', 'least', 'most'], ...rows])
}

/** One API changed at a time, with requests beside it: each that begins after the answer must meet the change. */
async function changes(
  contenders: readonly Contender[],
  { changes: count, rounds }: Sizes,
  report: (line: string) => void,
): Promise<string> {
  const taken = contenders.map(() => ({ answerMs: [] as number[], workerUs: [] as number[], stale: 0 }))
  for (let round = 0; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const turn = await change(contender, Math.ceil(count / rounds), round)
      report(`${contender.name}: ${turn.workerUs.toFixed(0)} µs of the worker for a change`)
      taken[i]?.answerMs.push(...turn.answerMs)
      taken[i]?.workerUs.push(turn.workerUs)
      const all = taken[i]
      if (all) all.stale += turn.stale
    }
  }
  const rows = contenders.map(({ name }, i) => {
    const { answerMs = [], workerUs = [], stale = 0 } = taken[i] ?? {}
    return [name, ...p50p99(answerMs), median(workerUs).toFixed(0), String(stale)]
  })
  const head = ['a change of one API among', 'answered in ms, p50', 'p99', 'CPU µs of the worker', 'stale']
  return table([head, ...rows])
}

/** What the worker takes includes the request that proves it, and that is the same for all. */
async function change({ node, apis }: Contender, count: number, round: number) {
  const port = Number(new URL(node.proxy).port)
  const answerMs: number[] = []
  let stale = 0
  const url = (await node.ask('GET', '/apis/api-0')).body.upstream_url as string
  const base = new URL(url).origin
  const before = await othersCpuMs(node.pid)
  for (let n = 0; n < count; n++) {
    const i = (n * 997) % apis
    const { host, path } = routeOf(i)
    const sent = systemClock.monotonic()
    const upstream_url = `${base}/${round}-${n}`
    const { status, text } = await node.ask('PATCH', `/apis/api-${i}`, { upstream_url })
    answerMs.push(systemClock.monotonic() - sent)
    if (status !== 200) throw new Error(`a change was answered ${status} ${text}`)
    const { body } = await ask(port, path, { headers: ['Host', host] })
    if (body !== `/${round}-${n}${path}`) stale++
  }
  return { answerMs, stale, workerUs: ((await othersCpuMs(node.pid)) - before) * (kilo / count) }
}

/** More keys than the caches have room for, each once. */
async function distinctKeys(
  { node, credentials }: Contender,
  { keys, seconds }: Sizes,
  { besides }: Cores,
  report: (line: string) => void,
): Promise<string> {
  const wanted = Math.min(keys, credentials)
  const { path } = routeOf(2)
  await node.ask('POST', '/apis/api-2/plugins', { name: 'key-auth' })
  const rows = [['keys asked with', 'resident MB', 'entries MB', 'bound MB']]
  const look = async (asked: number) => {
    const metrics = await scrape(node)
    const bytes = metrics.samples('troop_cache_bytes').reduce((sum, { value }) => sum + value, 0)
    rows.push([String(asked), inMB((await usageOf(node.pid)).residentBytes), inMB(bytes), String(cacheMB)])
    report(rows.at(-1)?.join(' ') ?? '')
  }
  await look(0)
  let next = Math.ceil(wanted / 4)
  for (let asked = 0; asked < wanted; ) {
    // Those that wrk had sent when its time was over are asked with again.
    const { requests } = await wrk(node.pid, {
      ...{
        url: node.proxy,
        script: askingWithKeys(path, asked, credentials),
        connections: 50,
        prefix: besides,
      },
      seconds: Math.min(seconds, 1 + Math.floor((wanted - asked) / kilo)),
    })
    asked += requests
    if (asked < next && asked < wanted) continue
    await look(asked)
    next += Math.ceil(wanted / 4)
  }
  return table(rows)
}

/** Bodies of a megabyte each way, as many as make up the bytes. */
async function bodies(
  { node }: Contender,
  { bodyBytes, seconds }: Sizes,
  { besides }: Cores,
  report: (line: string) => void,
): Promise<string> {
  const rows = [['passed GB', 'resident MB']]
  const look = async (passed: number) => {
    rows.push([(passed / giga).toFixed(2), inMB((await usageOf(node.pid)).residentBytes)])
    report(rows.at(-1)?.join(' ') ?? '')
  }
  await node.ask('POST', '/apis', {
    ...{ name: 'bodies', request_path: '/big', strip_request_path: false },
    upstream_url: (await node.ask('GET', '/apis/api-0')).body.upstream_url.replace(/(:\d+).*/, '$1'),
  })
  await look(0)
  let next = bodyBytes / 4
  for (let passed = 0; passed < bodyBytes; ) {
    const script = passingBodies('/big/file', passedBytes)
    const { requests, bytesRead } = await wrk(node.pid, {
      ...{ url: node.proxy, script, connections: 16, seconds, prefix: besides },
    })
    passed += bytesRead + (requests / 2) * passedBytes
    if (passed < next && passed < bodyBytes) continue
    await look(passed)
    next += bodyBytes / 4
  }
  return table(rows)
}

async function evenness({ connections }: Sizes): Promise<string> {
  const shares = (await connectionsOf(4, connections)).map((count) =>
    ((count / connections) * 100).toFixed(1),
  )
  return `${connections} connections to 4 workers, % each: ${shares.join(', ')}`
}

function inMB(bytes: number): string {
  return (bytes / 1024 ** 2).toFixed(1)
}

async function scrape(node: NodeProcess): Promise<Exposition> {
  return new Exposition((await node.ask('GET', '/metrics')).text)
}
