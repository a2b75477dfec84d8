// What a flood of made-up keys costs: reads of the datastore and CPU for each, and how long requests with valid keys take
// meanwhile. Two nodes on one datastore, one that knows all keys and one that does not, take turns.
import { Agent } from 'node:http'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Exposition } from '../support/exposition.ts'
import { until } from '../support/log.ts'
import { inMs, median, quantile, table } from '../support/measure.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { NodeProcess } from '../support/node-process.ts'
import { durable, testServer } from '../support/postgres.ts'
import { ask } from '../support/raw-http.ts'
import type { BenchOptions } from './bench.ts'

/**
 * Connections that the flood comes by, and the pause of each after an answer: as fast as both nodes can take it, so that it is
 * the same for both. Clients that don't pause would send the faster node more, and wait for themselves.
 */
const floodClients = 16
const pauseMs = 60
/** In use meanwhile. */
const validKeys = 50

interface Turn {
  readonly perSecond: number
  readonly reads: number
  readonly cpuMs: number
  readonly validMs: readonly number[]
}

export async function bench({ toy, quick = false }: BenchOptions): Promise<string> {
  const rounds = toy ? 1 : quick ? 3 : 7
  const requests = toy ? 50 : quick ? 1000 : 5000
  const credentials = toy ? 200 : 100_000
  const server = await testServer(durable)
  const group = await NodeGroup.make(await server.database())
  try {
    const nodes = await startBoth(group, credentials)
    const turns = nodes.map((): Turn[] => [])
    // The first round warms up, and is not counted.
    for (let round = -1; round < rounds; round++) {
      for (const [n, node] of nodes.entries()) {
        const turn = await flood(node, requests)
        if (round >= 0) turns[n]?.push(turn)
      }
    }
    const [known] = nodes
    const bytes = (await scrape(known as NodeProcess)).value('troop_filter_bytes') as number
    const rows = ['keys known', 'not known'].map((name, n) => [
      name,
      ...cellsOf(turns[n] as Turn[], requests),
    ])
    const head = ['', 'requests/s', 'reads/request', 'CPU ms/request', 'valid p50 ms', 'valid p99 ms']
    const size = `${credentials} keys take ${(bytes / credentials).toFixed(1)} bytes each`
    return `${table([head, ...rows])}\n${size}`
  } finally {
    await group.remove()
    await server.remove()
  }
}

function cellsOf(turns: readonly Turn[], requests: number): string[] {
  const middle = (read: (turn: Turn) => number) => median(turns.map(read))
  const valid = turns.flatMap(({ validMs }) => validMs)
  return [
    middle(({ perSecond }) => perSecond).toFixed(0),
    middle(({ reads }) => reads / requests).toFixed(3),
    middle(({ cpuMs, validMs }) => cpuMs / (requests + validMs.length)).toFixed(3),
    inMs(median(valid)),
    inMs(quantile(valid, 0.99)),
  ]
}

async function startBoth(group: NodeGroup, credentials: number): Promise<readonly NodeProcess[]> {
  group.upstream.answer = (_, response) => response.writeHead(204).end()
  // Not in one cluster: what one is told is no matter of the other.
  const apart = { workers: 1, cluster: { 'auto-join': false } }
  const first = await group.start(apart)
  await first.ask('POST', '/apis', { name: 'a', request_path: '/a', upstream_url: group.upstream.url })
  await first.ask('POST', '/apis/a/plugins', { name: 'key-auth' })
  await group.database.query(
    `insert into consumers (username) select 'user ' || i from generate_series(1, 100) i`,
  )
  await group.database.query(
    `insert into keyauth_credentials (consumer_id, key)
     select (select id from consumers where username = 'user ' || (1 + i % 100)), 'valid-' || i
     from generate_series(1, ${credentials}) i`,
  )
  const second = await group.start({ ...apart, filter_keys_max: 0 })
  await until(async () => {
    const metrics = await scrape(first)
    return metrics.value('troop_filter_in_use') === 1 && metrics.value('troop_filter_keys') === credentials
  })
  return [first, second]
}

/** So many requests with made-up keys, and one client with valid ones that asks a hundred times a second meanwhile. */
async function flood(node: NodeProcess, requests: number): Promise<Turn> {
  const agent = new Agent({ keepAlive: true })
  const port = Number(new URL(node.proxy).port)
  const call = (key: string) => ask(port, `/a?apikey=${key}`, { agent })
  const before = await costs(node)
  const start = systemClock.monotonic()
  let left = requests
  const client = async () => {
    while (left-- > 0) {
      const { status, body } = await call(systemRandom.hex(16))
      if (status !== 403) throw new Error(`a made-up key was answered ${status} ${body}`)
      await systemClock.sleep(pauseMs)
    }
  }
  const validMs: number[] = []
  const validClient = async () => {
    for (let n = 1; left > 0; n++) {
      const sent = systemClock.monotonic()
      const { status } = await call(`valid-${1 + (n % validKeys)}`)
      if (status !== 204) throw new Error(`a valid key was answered ${status}`)
      validMs.push(systemClock.monotonic() - sent)
      await systemClock.sleep(10)
    }
  }
  try {
    await Promise.all([validClient(), ...Array.from({ length: floodClients }, client)])
    const seconds = (systemClock.monotonic() - start) / 1000
    const after = await costs(node)
    const [reads, cpuMs] = [after.reads - before.reads, after.cpuMs - before.cpuMs]
    return { perSecond: requests / seconds, reads, cpuMs, validMs }
  } finally {
    agent.destroy()
  }
}

async function costs(node: NodeProcess): Promise<{ reads: number; cpuMs: number }> {
  const metrics = await scrape(node)
  const cpu = (mode: string) => metrics.value('troop_cpu_seconds_total', { mode }) as number
  return {
    reads: metrics.value('troop_cache_misses_total', { level: 'node' }) as number,
    cpuMs: 1000 * (cpu('user') + cpu('system')),
  }
}

async function scrape(node: NodeProcess): Promise<Exposition> {
  return new Exposition((await node.ask('GET', '/metrics')).text)
}
