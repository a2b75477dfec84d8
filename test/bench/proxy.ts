// What a proxied request costs a node with one worker, plain and with plugins, in each lane, beside what it costs nginx: all
// on the same core, the upstream and what asks on another one, taking turns, so that a slow moment hits all.
import { join } from 'node:path'
import { lanes } from '../support/lanes.ts'
import { median, table } from '../support/measure.ts'
import { Nginx } from '../support/nginx.ts'
import { NodeProcess } from '../support/node-process.ts'
import { testDatabase } from '../support/postgres.ts'
import { findProgram } from '../support/program.ts'
import type { BenchOptions } from './bench.ts'
import { answering } from './proxy/answering.ts'
import { Cores } from './proxy/cores.ts'
import { type Load, loadOn } from './proxy/load.ts'

interface Contender {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly headers: Readonly<Record<string, string>>
}

export async function bench({ toy, report = () => {} }: BenchOptions): Promise<string> {
  const nginx = findProgram('nginx')
  if (nginx === undefined || findProgram('wrk') === undefined)
    return 'needs nginx and wrk: nothing was measured'
  const cores = new Cores()
  const [rounds, seconds] = toy ? [1, 1] : [5, 4]

  await using releases = new AsyncDisposableStack()
  const upstream = await Nginx.start(nginx, answering)
  releases.defer(() => upstream.stop())
  const rival = await Nginx.start(nginx, ({ port }) => proxyConfig(port, upstream.port))
  releases.defer(() => rival.stop())
  const database = await testDatabase()
  releases.defer(() => database.drop())
  const nodes: NodeProcess[] = []
  for (const fast_lane of [true, false]) {
    const node = await NodeProcess.start(database, { workers: 1, proxy: { fast_lane } })
    releases.defer(() => node.remove())
    nodes.push(node)
  }
  await cores.pin(upstream.pid, 'others')
  for (const { pid } of [rival, ...nodes]) await cores.pin(pid, 'proxy')

  const contenders: Contender[] = [{ name: 'nginx', url: rival.url, pid: rival.pid, headers: {} }]
  for (const { name, path, headers } of await configured(nodes[0] as NodeProcess, upstream.url))
    for (const [i, lane] of lanes.entries()) {
      const { proxy, pid } = nodes[i] as NodeProcess
      contenders.push({ name: `${name}, ${lane}`, url: `${proxy}/${path}`, pid, headers })
    }
  const loads = new Map<string, Load[]>(contenders.map(({ name }) => [name, []]))
  // The first round makes connections and lets code be compiled, and is not counted.
  for (let round = toy ? 0 : -1; round < rounds; round++) {
    for (const { name, url, pid, headers } of contenders) {
      const load = await loadOn(url, pid, { seconds, headers, prefix: cores.besides })
      report(`${name}: ${load.requestsPerS.toFixed(0)}/s, ${load.cpuUs.toFixed(1)} µs`)
      if (round >= 0) loads.get(name)?.push(load)
    }
  }
  return `${cores.machine}\n\n${table([head, ...rowsOf(loads)])}`
}

const head = ['proxy', 'requests/s', 'p99 ms', 'CPU µs/request', '× nginx', 'least', 'most']

/** Ratios are those of one round each; then the middle one, and how far they lie apart. */
function rowsOf(loads: ReadonlyMap<string, readonly Load[]>): string[][] {
  const base = loads.get('nginx') ?? []
  return [...loads].map(([name, all]) => {
    const ratios = all.map(({ cpuUs }, i) => cpuUs / (base[i]?.cpuUs ?? Number.NaN))
    return [
      name,
      median(all.map(({ requestsPerS }) => requestsPerS)).toFixed(0),
      median(all.map(({ p99Ms }) => p99Ms)).toFixed(1),
      median(all.map(({ cpuUs }) => cpuUs)).toFixed(1),
      ...[median(ratios), Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(2)),
    ]
  })
}

function proxyConfig(port: number, upstreamPort: number): string {
  return `keepalive_requests 1000000000;
    upstream up { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port};
      location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }
    }`
}

/** What is asked for. */
interface Configured {
  readonly name: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** One API for each set of plugins, on all nodes. */
async function configured(node: NodeProcess, upstream_url: string): Promise<Configured[]> {
  const write = async (path: string, body: Parameters<NodeProcess['ask']>[2]) => {
    const { status, text } = await node.ask('POST', path, body)
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${text}`)
  }
  await write('/consumers', { username: 'anna' })
  await write('/consumers/anna/key-auth', { key: 'abc' })
  const keyAuth = { name: 'key-auth' }
  const limits = { name: 'rate-limiting', config: { hour: 1_000_000_000, policy: 'local' } }
  const fileLog = { name: 'file-log', config: { path: join(node.dir, 'requests.log') } }
  const contender = async (name: string, path: string, plugins: (typeof keyAuth)[]) => {
    await write('/apis', { name: path, request_path: `/${path}`, upstream_url })
    for (const plugin of plugins) await write(`/apis/${path}/plugins`, plugin)
    return { name, path, headers: { ...(plugins.length > 0 && { apikey: 'abc' }) } }
  }
  return [
    await contender('plain', 'plain', []),
    await contender('key-auth', 'keys', [keyAuth]),
    await contender('key-auth, rate-limiting, file-log', 'all', [keyAuth, limits, fileLog]),
  ]
}
