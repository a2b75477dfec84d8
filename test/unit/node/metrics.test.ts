import { expect } from 'chai'
import { Histogram } from '../../../src/base/histogram.ts'
import { cacheCounterNames } from '../../../src/cache/cache.ts'
import { familyGroups, type Snapshot } from '../../../src/node/metric-families.ts'
import { exposition } from '../../../src/node/metrics.ts'
import { ApiCounts } from '../../../src/proxy/api-counters.ts'
import { Counters } from '../../../src/proxy/counters.ts'
import { Exposition } from '../../support/exposition.ts'

const histogram = (...values: number[]) => {
  const made = new Histogram([5, 250])
  for (const value of values) made.observe(value)
  return made
}
function apiCounts(...answers: number[]) {
  const counts = new ApiCounts()
  for (const status of answers) counts.answered(status)
  counts.took('proxy', 2)
  return counts
}
const cache = Object.fromEntries(cacheCounterNames.map((name) => [name, 0])) as Snapshot['caches']['node']
const heap = { usedBytes: 1, sizeBytes: 2, externalBytes: 3 }
const snapshot: Snapshot = {
  version: '1.2.3',
  name: 'node-1',
  uptimeMs: 1500,
  proxy: new Counters(),
  apis: new Map([['a', apiCounts(200)]]),
  workers: { running: 1, wanted: 2, hanging: 0, deaths: 3, hangs: 1 },
  caches: { node: { ...cache, hits: 4 }, workers: { ...cache, hits: 5 } },
  filter: { inUse: true, keys: 6, bytes: 90 },
  applied: 7,
  head: 9,
  freshnessMs: 250,
  propagation: {
    ...{ write: histogram(), notify: histogram(), pull: histogram(), peer: histogram() },
    push: histogram(5, 6, 7, 1000),
  },
  followed: { events: 6, transactions: 5, pulls: 4, loads: { start: 1 } },
  pruned: { events: 8 },
  members: { alive: 2, leaving: 0, left: 0, failed: 1 },
  cluster: {
    push: { acknowledged: 3, missed: 2 },
    membership: { accusations: 1, refutations: 0, syncs: 4 },
    roundTrips: histogram(1),
    renewals: { taken: 0, 'forced-out': 1 },
  },
  transport: undefined,
  datastore: { reachable: true, pools: { primary: { inUse: 1, idle: 2, waiting: 3 } } },
  residentBytes: 100,
  files: { open: 30, max: 1024 },
  heaps: { agent: heap, workers: undefined },
  cpuMicroseconds: { user: 2_000_000, system: 500_000 },
  loopDelay: { agent: histogram(), workers: histogram() },
}
const families = familyGroups.flatMap((group) => group.families)
const shown = async (changes: Partial<Snapshot> = {}) =>
  new Exposition(await exposition({ ...snapshot, ...changes }))

describe('the metrics of a node', () => {
  it('are all there, whether there is anything to say or not, with type and help', async () => {
    const { families: parsed } = await shown()
    expect([...parsed].map(([name, { type, help }]) => ({ name, type, help }))).to.deep.equal(
      families.map(({ name, type, help }) => ({ name, type, help })),
    )
  })

  it('have names that begin with the product and end with the unit', () => {
    expect(new Set(families.map(({ name }) => name)).size).to.equal(families.length)
    for (const { name, type } of families) {
      expect(name).to.match(/^troop(_[a-z]+)+$/)
      if (type === 'histogram') expect(name).to.match(/_seconds$/)
      if (type === 'counter') expect(name).to.match(/_total$/)
    }
  })

  it('have the labels that they declare, and no others', async () => {
    const { families: parsed } = await shown()
    for (const { name, labels } of families) {
      for (const sample of parsed.get(name)?.samples ?? []) {
        const own = Object.keys(sample.labels).filter((label) => label !== 'le')
        expect(own, name).to.deep.equal([...labels])
      }
    }
  })

  it('tell times in seconds, buckets summed up, and the lag in events', async () => {
    const metrics = await shown()
    const bucket = (le: string) => metrics.value('troop_propagation_seconds_bucket', { path: 'push', le })
    expect(['0.005', '0.25', '+Inf'].map(bucket)).to.deep.equal([1, 3, 4])
    expect(metrics.value('troop_propagation_seconds_sum', { path: 'push' })).to.equal(1.018)
    expect(metrics.value('troop_propagation_seconds_count', { path: 'pull' })).to.equal(0)
    expect(metrics.value('troop_uptime_seconds')).to.equal(1.5)
    expect(metrics.value('troop_freshness_age_seconds')).to.equal(0.25)
    expect(metrics.value('troop_log_lag_events')).to.equal(2)
    expect(metrics.value('troop_cpu_seconds_total', { mode: 'system' })).to.equal(0.5)
  })

  it('escape what a label says', async () => {
    for (const name of ['a"b', 'a\\b', 'a\nb', '\\n"\\\\"\n\\', '}', 'ä€,b="c"']) {
      const metrics = await shown({ name })
      expect(metrics.value('troop_info', { version: '1.2.3', name })).to.equal(1)
    }
  })

  it('leave out what is not known instead of making it up', async () => {
    const metrics = await shown({ applied: null, freshnessMs: undefined })
    for (const name of ['troop_log_applied_position', 'troop_log_lag_events', 'troop_freshness_age_seconds'])
      expect(metrics.samples(name), name).to.have.length(0)
    expect(metrics.samples('troop_heap_used_bytes')).to.have.length(1)
    expect((await shown({ freshnessMs: 0 })).value('troop_freshness_age_seconds')).to.equal(0)
  })

  it('show the usual statuses before they are answered, and each other from its first time on', async () => {
    const proxy = new Counters()
    for (const status of [200, 418, 999]) proxy.answered(status)
    const metrics = await shown({ proxy })
    const responses = (status: string) => metrics.value('troop_responses_total', { status })
    expect(['200', '418', 'other', '503'].map(responses)).to.deep.equal([1, 1, 1, 0])
  })

  it('tell what became of the requests of each API, and nothing of what has had none', async () => {
    const metrics = await shown({
      apis: new Map([
        ['a', apiCounts(200, 200, 499, 520)],
        ['other', new ApiCounts()],
      ]),
    })
    const statuses = metrics.samples('troop_api_responses_total').map(({ labels, value }) => [labels, value])
    expect(statuses).to.deep.equal([
      [{ api: 'a', status: '200' }, 2],
      [{ api: 'a', status: '499' }, 1],
      [{ api: 'a', status: 'other' }, 1],
    ])
    expect(metrics.value('troop_api_proxy_latency_seconds_sum', { api: 'a' })).to.equal(0.002)
    expect(metrics.samples('troop_api_proxy_latency_seconds_count')).to.have.length(1)
    expect(metrics.samples('troop_api_upstream_latency_seconds_count')).to.have.length(0)
  })
})

describe('the reader of the format', () => {
  const head = '# HELP troop_a A.\n# TYPE troop_a gauge\n'

  it('refuses what is wrong', () => {
    for (const text of [
      `${head}troop_a 1`,
      `${head}troop_b 1\n`,
      `${head}troop_a 1\ntroop_a 2\n`,
      `${head}troop_a{b="c"d="e"} 1\n`,
      `${head}troop_a{b="c\\d"} 1\n`,
      `${head}troop_a{b="c"} one\n`,
      `${head}${head}`,
      'troop_a 1\n',
      '# HELP troop_a A.\n# TYPE troop_a counter\n',
      '# HELP troop_a A.\n# TYPE troop_a histogram\ntroop_a_bucket{le="+Inf"} 1\ntroop_a_sum 1\ntroop_a_count 2\n',
    ]) {
      expect(() => new Exposition(text), text).to.throw()
    }
    expect(new Exposition(`${head}troop_a{b="c\\\\\\"\\n"} 1\n`).value('troop_a', { b: 'c\\"\n' })).to.equal(
      1,
    )
  })
})
