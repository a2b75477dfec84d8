// What GET /metrics answers: the numbers that all parts of a node keep, read when they are asked for and never while a
// request is on its way.
import { getHeapStatistics, type HeapInfo } from 'node:v8'
import type { Metric } from '@prometheus-io/client'
import type { Clock } from '../base/clock.ts'
import { Histogram } from '../base/histogram.ts'
import { LoopDelay, loopDelayBoundsMs } from '../base/loop-delay.ts'
import { openFiles, openFilesMax } from '../base/open-files.ts'
import type { MemberStatus } from '../cluster/membership/member.ts'
import type { Database } from '../database/database.ts'
import type { Agent } from './agent.ts'
import { type Family, familyGroups, type HeapUse, type Series, type Snapshot } from './metric-families.ts'
import type { Workers } from './workers.ts'

export interface MetricsParts {
  readonly agent: Agent
  readonly database: Database
  readonly workers: Workers
  readonly version: string
  /** When the node began to start, on the clock that never goes back. */
  readonly startedAtMs: number
  readonly clock: Clock
}

export class Metrics {
  readonly #parts: MetricsParts
  readonly #loopDelay = new Histogram(loopDelayBoundsMs)
  readonly #loop: LoopDelay

  constructor(parts: MetricsParts) {
    this.#parts = parts
    this.#loop = new LoopDelay(parts.clock, this.#loopDelay)
  }

  /** Begins to watch the thread that it is called on. */
  start(): void {
    this.#loop.start()
  }

  stop(): void {
    this.#loop.stop()
  }

  /** All metrics in Prometheus' text format, version 0.0.4. */
  async text(): Promise<string> {
    // Asked for first: all else is read in one tick.
    const heaps = { agent: heapUse([getHeapStatistics()]), workers: await this.#workerHeaps() }
    return exposition({ ...this.#read(), heaps })
  }

  #read(): Omit<Snapshot, 'heaps'> {
    const { agent, database, workers, version, startedAtMs, clock } = this.#parts
    const { cluster, catalog } = agent
    return {
      version,
      name: cluster.name,
      uptimeMs: clock.monotonic() - startedAtMs,
      proxy: workers.counters(),
      apis: workers.apiCounts(),
      workers: { ...workers.state, deaths: workers.deaths, hangs: workers.hangs },
      caches: { node: catalog.counters, workers: workers.cacheCounters() },
      filter: catalog.filter,
      applied: agent.position,
      head: cluster.headPosition,
      freshnessMs: cluster.freshnessMs,
      propagation: cluster.propagation.histograms,
      followed: agent.followed,
      pruned: agent.pruned,
      members: countStatuses(cluster.members()),
      cluster: cluster.counts(),
      transport: cluster.transportCounts(),
      datastore: { reachable: agent.reachability.reachable, pools: database.pools() },
      files: { open: openFiles(), max: openFilesMax() },
      residentBytes: process.memoryUsage.rss(),
      cpuMicroseconds: process.cpuUsage(),
      loopDelay: { agent: this.#loopDelay, workers: workers.loopDelay() },
    }
  }

  /** A sum without one of them would be wrong. */
  async #workerHeaps(): Promise<HeapUse | undefined> {
    try {
      return heapUse(await this.#parts.workers.heaps())
    } catch {
      return undefined
    }
  }
}

/** A snapshot as text, with all families, also those that have no series yet. */
export async function exposition(snapshot: Snapshot): Promise<string> {
  // Loaded when somebody asks: it brings much that a start has no time for.
  const { Registry } = await import('@prometheus-io/client')
  const registry = new Registry()
  for (const { families } of familyGroups) {
    for (const family of families) registry.registerMetric(metricOf(family, snapshot))
  }
  return registry.metrics()
}

/**
 * The client's own metrics do the counting themselves. What is counted elsewhere it takes as well: of a metric that is
 * registered it asks for no more than this, though its types say more.
 */
function metricOf({ name, type, help, read }: Family, snapshot: Snapshot): Metric<string> {
  const get = () => ({ name, type, help, values: read(snapshot).flatMap((series) => valuesOf(name, series)) })
  return { name, type, help, get } as unknown as Metric<string>
}

interface Value {
  readonly metricName: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

function valuesOf(name: string, { labels, value }: Series): readonly Value[] {
  if (value === undefined) return []
  if (typeof value === 'number') return [{ metricName: name, labels, value }]
  const { bounds, counts, sum } = value
  let below = 0
  const buckets = counts.map((count, i) => {
    const boundMs = bounds[i]
    const le = boundMs === undefined ? '+Inf' : boundMs / 1000
    below += count
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: below }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum / 1000 },
    { metricName: `${name}_count`, labels, value: below },
  ]
}

function countStatuses(members: readonly { readonly status: MemberStatus }[]): Record<MemberStatus, number> {
  const counts: Record<MemberStatus, number> = { alive: 0, leaving: 0, left: 0, failed: 0 }
  for (const { status } of members) counts[status]++
  return counts
}

function heapUse(heaps: readonly HeapInfo[]): HeapUse {
  const sum = (read: (heap: HeapInfo) => number) => heaps.reduce((sum, heap) => sum + read(heap), 0)
  return {
    usedBytes: sum((heap) => heap.used_heap_size),
    sizeBytes: sum((heap) => heap.total_heap_size),
    externalBytes: sum((heap) => heap.external_memory),
  }
}
