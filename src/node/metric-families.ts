// All metrics of a node: what each is called, what it says, and where in a snapshot it is read. docs/operating.md has
// the same table, made from this one. The names are what people's alerts are built on: they are only ever added to.
import type { Histogram } from '../base/histogram.ts'
import type { Position } from '../base/stamp.ts'
import type { CacheCounters } from '../cache/cache.ts'
import type { FilterCounts } from '../catalog/filter-projection.ts'
import type { ClusterCounts } from '../cluster/cluster.ts'
import type { MemberStatus } from '../cluster/membership/member.ts'
import type { TransportCounts } from '../cluster/transport/transport.ts'
import type { PoolUse } from '../database/connection-pool.ts'
import type { DeliveryPath } from '../event-log/event-log.ts'
import type { FollowerCounts } from '../event-log/follower.ts'
import type { PruneCounts } from '../event-log/prune.ts'
import type { ApiCounts, ApiLatency } from '../proxy/api-counters.ts'
import type { Counters } from '../proxy/counters.ts'
import { upstreamFailureReasons, upstreamFailures } from '../proxy/errors.ts'

/** A node at one moment. Histograms are in ms. */
export interface Snapshot {
  readonly version: string
  readonly name: string
  readonly uptimeMs: number
  readonly proxy: Counters
  /** By the name of the API; see api-series.ts. */
  readonly apis: ReadonlyMap<string, ApiCounts>
  readonly workers: {
    readonly running: number
    readonly wanted: number
    readonly hanging: number
    readonly deaths: number
    readonly hangs: number
  }
  /** The node's own (L2), and the sum of its workers' (L1). */
  readonly caches: { readonly node: CacheCounters; readonly workers: CacheCounters }
  readonly filter: FilterCounts
  /** Null before the first load. */
  readonly applied: Position | null
  readonly head: Position
  /** Undefined when it never was certain to miss nothing. */
  readonly freshnessMs: number | undefined
  readonly propagation: Readonly<Record<DeliveryPath, Histogram>>
  readonly followed: FollowerCounts
  readonly pruned: PruneCounts
  readonly members: Readonly<Record<MemberStatus, number>>
  readonly cluster: ClusterCounts
  readonly transport: TransportCounts | undefined
  readonly datastore: { readonly reachable: boolean; readonly pools: Readonly<Record<string, PoolUse>> }
  readonly residentBytes: number
  /** Undefined where the system does not tell. */
  readonly files: { readonly open: number | undefined; readonly max: number | undefined }
  /** Of the agent, and the sum of its workers; undefined when one of these did not tell. */
  readonly heaps: { readonly agent: HeapUse; readonly workers: HeapUse | undefined }
  readonly cpuMicroseconds: { readonly user: number; readonly system: number }
  readonly loopDelay: { readonly agent: Histogram; readonly workers: Histogram }
}

export interface HeapUse {
  readonly usedBytes: number
  readonly sizeBytes: number
  /** Outside of the heap, held by objects in it: buffers above all. */
  readonly externalBytes: number
}

/** One series of a family. Those without a value are left out. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number | Histogram | undefined
}

export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Names of the labels that its series have. Each has few values: none comes from what clients say. */
  readonly labels: readonly string[]
  read(snapshot: Snapshot): readonly Series[]
}

export interface FamilyGroup {
  readonly title: string
  readonly families: readonly Family[]
}

/** Shown before there is one: the first of a kind is a rise then, and not a new series that nothing is compared with. */
const statusesShown = [200, 400, 401, 403, 404, 429, 499, 500, 502, 503, 504]

export const familyGroups: readonly FamilyGroup[] = [
  {
    title: 'Requests',
    families: [
      counter('requests_total', 'Requests received by the proxy.', ({ proxy }) => proxy.get('requests')),
      counter('requests_fast_total', 'Requests that were plain enough for the fast lane.', ({ proxy }) =>
        proxy.get('fast'),
      ),
      counter('requests_multiplexed_total', 'Requests that came over HTTP/2.', ({ proxy }) =>
        proxy.get('http2'),
      ),
      counter('requests_routed_total', 'Requests that matched an API.', ({ proxy }) => proxy.get('routed')),
      counters(
        ['status'],
        'responses_total',
        'Answers by HTTP status; 499 when the client was gone before. What could not be read as a request has an answer, too.',
        ({ proxy }) => by('status', answersOf(proxy)),
      ),
      histogram(
        [],
        'proxy_latency_seconds',
        'From the head of a request until it goes upstream: routing, plugins, and the lookups that they wait for.',
        ({ proxy }) => one(proxy.latency('proxy')),
      ),
      histogram(
        [],
        'upstream_latency_seconds',
        'From then to the head of the upstream’s answer.',
        ({ proxy }) => one(proxy.latency('upstream')),
      ),
      histogram(
        [],
        'request_duration_seconds',
        'From the head of a request to the last byte of its answer, whoever gave it.',
        ({ proxy }) => one(proxy.latency('request')),
      ),
      counters(
        ['api', 'status'],
        'api_responses_total',
        'Answers to requests that matched an API, by its name and by status.',
        ({ apis }) => answersOfApis(apis),
      ),
      histogram(
        ['api'],
        'api_proxy_latency_seconds',
        '`proxy_latency_seconds` of each API, in coarser buckets.',
        ({ apis }) => latenciesOfApis(apis, 'proxy'),
      ),
      histogram(
        ['api'],
        'api_upstream_latency_seconds',
        '`upstream_latency_seconds` of each API, in coarser buckets.',
        ({ apis }) => latenciesOfApis(apis, 'upstream'),
      ),
      counters(
        ['kind', 'reason'],
        'upstream_failures_total',
        'Requests that failed at their upstream, by what that is to the client (`invalid`: 502, `unavailable`: 503, `timeout`: 504, where the answer had not begun) and by what was wrong: `refused`, `unresolved`, `tls`, `broken` off, no HTTP (`protocol`); no connection was free (`busy`), or no descriptor or port of this node (`exhausted`); too slow in one of three ways.',
        ({ proxy }) => failuresOf(proxy),
      ),
      gauges(
        ['state'],
        'upstream_connections',
        'Open connections to upstreams: with a request (`in_use`), or kept or opened ahead for the next one (`idle`).',
        ({ proxy }) => by('state', upstreamConnectionsOf(proxy)),
      ),
      counter(
        'upstream_connections_opened_total',
        'Connections to upstreams that came about, TLS included, also those that were opened ahead (`proxy.upstream_spares`).',
        ({ proxy }) => proxy.get('upstreamOpened'),
      ),
      counter(
        'upstream_connections_failed_total',
        'Connections to upstreams that did not come about, also those that were opened ahead.',
        ({ proxy }) => proxy.get('upstreamNotOpened'),
      ),
      counter(
        'upstream_connections_reused_total',
        'Requests that went over a connection which was there already.',
        ({ proxy }) => proxy.get('upstreamReused'),
      ),
      counters(
        ['reason'],
        'refused_total',
        'Clients from which nothing more was taken, by what was wrong ([errors](errors.md#answers-of-the-proxy-to-what-it-does-not-take)). Those that got an answer are in `responses_total`, too.',
        ({ proxy }) => by('reason', proxy.refusals),
      ),
      gauges(
        ['state'],
        'connections',
        'Open connections of clients: new (`reading`), with a request in hand (`writing`), idle (`waiting`).',
        ({ proxy }) =>
          by(
            'state',
            record(['reading', 'writing', 'waiting'], (state) => proxy.get(state)),
          ),
      ),
      counter('connections_accepted_total', 'Connections of clients that were ever opened.', ({ proxy }) =>
        proxy.get('accepted'),
      ),
      counter(
        'handshakes_failed_total',
        'Connections of clients for TLS that were closed before it was agreed on.',
        ({ proxy }) => proxy.get('handshakesFailed'),
      ),
    ],
  },
  {
    title: 'Caches',
    families: [
      ofCaches(counters, 'hits_total', 'Lookups answered from memory.', ({ hits }) => hits),
      ofCaches(
        counters,
        'misses_total',
        'Lookups that had to ask: workers the node, the node the datastore.',
        ({ misses, absences }) => misses - absences,
      ),
      ofCaches(
        counters,
        'absences_total',
        'Lookups of keys that no row has, answered by the filter: by the `node` only what a worker could not tell yet.',
        ({ absences }) => absences,
      ),
      ofCaches(counters, 'fills_total', 'Answers that were kept.', ({ fills }) => fills),
      ofCaches(
        counters,
        'fills_refused_total',
        'Answers that a change had overtaken: not kept, not served, and asked for again.',
        ({ refusedByFloor }) => refusedByFloor,
      ),
      ofCaches(
        counters,
        'evictions_total',
        'Entries dropped for want of room.',
        ({ evictions }) => evictions,
      ),
      ofCaches(
        counters,
        'oversized_total',
        'Entries not kept, since each was more than a tenth of its cache.',
        ({ oversized }) => oversized,
      ),
      ofCaches(gauges, 'entries', 'Entries held.', ({ entries }) => entries),
      ofCaches(gauges, 'bytes', 'Estimated size of the entries.', ({ bytes }) => bytes),
      counter(
        'cache_purges_total',
        'Times that all entries were to be proven anew: joins, and `DELETE /cache`.',
        ({ caches }) => caches.node.purges,
      ),
      gauge(
        'filter_in_use',
        '1 if the node can tell without a read which keys have no row, 0 while it loads them or may not hold as many.',
        ({ filter }) => Number(filter.inUse),
      ),
      gauge('filter_keys', 'Keys that it knows.', ({ filter }) => filter.keys),
      gauge('filter_bytes', 'Memory that they take.', ({ filter }) => filter.bytes),
    ],
  },
  {
    title: 'Changes',
    families: [
      gauge(
        'log_head_position',
        'The newest position of the log that this node knows of.',
        ({ head }) => head,
      ),
      gauge(
        'log_applied_position',
        'Up to where it has applied the log.',
        ({ applied }) => applied ?? undefined,
      ),
      gauge('log_lag_events', 'Events between the two.', ({ applied, head }) =>
        applied === null ? undefined : Math.max(0, head - applied),
      ),
      gauge(
        'freshness_age_seconds',
        'Since when this node may be missing a change: around `cluster.heartbeat_interval` at the most when all is well.',
        ({ freshnessMs }) => freshnessMs && freshnessMs / 1000,
      ),
      histogram(
        ['path'],
        'propagation_seconds',
        'From the commit of a change to its application here, by what brought it: own `write`, `push`, `notify`, `pull`, or a `peer` while the datastore was away.',
        ({ propagation }) => by('path', propagation),
      ),
      counter('log_events_applied_total', 'Events applied.', ({ followed }) => followed.events),
      counter(
        'log_transactions_applied_total',
        'Transactions applied.',
        ({ followed }) => followed.transactions,
      ),
      counter('log_pulls_total', 'Times that the log was read.', ({ followed }) => followed.pulls),
      counters(
        ['reason'],
        'log_loads_total',
        'Times that everything was loaded anew; each but that at the `start` is a jump.',
        ({ followed }) => by('reason', followed.loads),
      ),
      counter(
        'log_events_pruned_total',
        'Events that this node has removed from the log.',
        ({ pruned }) => pruned.events,
      ),
      counter(
        'acknowledgements_total',
        'Acknowledgements of other nodes for changes made through this one.',
        ({ cluster }) => cluster.push.acknowledged,
      ),
      counter(
        'acknowledgements_missed_total',
        'Acknowledgements that were not there when the writer had to be answered: it was told `X-Troop-Lagging`.',
        ({ cluster }) => cluster.push.missed,
      ),
    ],
  },
  {
    title: 'The cluster',
    families: [
      gauges(
        ['status'],
        'cluster_members',
        'Members as this node knows them, itself included.',
        ({ members }) => by('status', members),
      ),
      gauge('cluster_peers', 'Members that it is connected with.', ({ transport }) => transport?.peers),
      gauge(
        'cluster_connections',
        'Open connections with nodes that have the key.',
        ({ transport }) => transport?.connections,
      ),
      gauge(
        'cluster_strangers',
        'Open connections that have not shown who they are yet.',
        ({ transport }) => transport?.strangers,
      ),
      counters(
        ['reason'],
        'cluster_refused_connections_total',
        'Connections of other nodes, or of strangers, that were refused.',
        ({ transport }) => by('reason', transport?.refused ?? {}),
      ),
      histogram(
        [],
        'cluster_probe_round_trip_seconds',
        'From a probe to the answer of its member.',
        ({ cluster }) => one(cluster.roundTrips),
      ),
      counter(
        'cluster_accusations_total',
        'Times that this node suspected a member.',
        ({ cluster }) => cluster.membership?.accusations,
      ),
      counter(
        'cluster_refutations_total',
        'Times that it had to contradict what was said of itself.',
        ({ cluster }) => cluster.membership?.refutations,
      ),
      counter(
        'cluster_syncs_total',
        'Times that it told another all that it knows of the members.',
        ({ cluster }) => cluster.membership?.syncs,
      ),
      counters(
        ['reason'],
        'cluster_renewals_total',
        'Times that it registered anew while it ran: it was `forced-out`, or its name was `taken`.',
        ({ cluster }) => by('reason', cluster.renewals),
      ),
    ],
  },
  {
    title: 'The datastore',
    families: [
      gauge('datastore_reachable', '1 if it answered the last read of the head, else 0.', ({ datastore }) =>
        Number(datastore.reachable),
      ),
      gauges(
        ['pool', 'state'],
        'datastore_connections',
        'Connections, to the `primary` or the `replica`.',
        ({ datastore }) =>
          Object.entries(datastore.pools).flatMap(([pool, { inUse, idle }]) => [
            { labels: { pool, state: 'in_use' }, value: inUse },
            { labels: { pool, state: 'idle' }, value: idle },
          ]),
      ),
      gauges(['pool'], 'datastore_waiting', 'Callers that wait for a connection.', ({ datastore }) =>
        Object.entries(datastore.pools).map(([pool, { waiting }]) => ({ labels: { pool }, value: waiting })),
      ),
    ],
  },
  {
    title: 'The process',
    families: [
      gauges(
        ['version', 'name'],
        'info',
        'Always 1: the labels tell version and name of the node.',
        (snapshot) => [{ labels: { version: snapshot.version, name: snapshot.name }, value: 1 }],
      ),
      gauge('uptime_seconds', 'Since the node began to start.', ({ uptimeMs }) => uptimeMs / 1000),
      gauge('workers_running', 'Threads that serve traffic.', ({ workers }) => workers.running),
      gauge('workers_wanted', 'Threads that should.', ({ workers }) => workers.wanted),
      gauge(
        'workers_hanging',
        'Threads that hang where nothing can end them. Each keeps its connections, and gets a part of the new ones.',
        ({ workers }) => workers.hanging,
      ),
      counter('worker_deaths_total', 'Threads that died and were replaced.', ({ workers }) => workers.deaths),
      counter(
        'worker_hangs_total',
        'Those of them that stood still for longer than `worker_timeout`, and were ended.',
        ({ workers }) => workers.hangs,
      ),
      histogram(
        ['thread'],
        'event_loop_delay_seconds',
        'How late a thread gets to what is due, looked at ten times a second: the `agent`, and all `workers` together.',
        ({ loopDelay }) => by('thread', loopDelay),
      ),
      counters(
        ['mode'],
        'cpu_seconds_total',
        'Processor time, in `user` or `system` mode.',
        ({ cpuMicroseconds: { user, system } }) => by('mode', { user: user / 1e6, system: system / 1e6 }),
      ),
      gauge('open_files', 'Descriptors that are open: connections and files.', ({ files }) => files.open),
      gauge('open_files_max', 'Descriptors that may be open (`ulimit -n`).', ({ files }) => files.max),
      gauge('resident_memory_bytes', 'Memory of the process.', ({ residentBytes }) => residentBytes),
      ofHeaps('heap_used_bytes', 'Heap in use.', ({ usedBytes }) => usedBytes),
      ofHeaps('heap_size_bytes', 'Heap reserved.', ({ sizeBytes }) => sizeBytes),
      ofHeaps(
        'external_memory_bytes',
        'Memory outside of the heap that it holds.',
        ({ externalBytes }) => externalBytes,
      ),
    ],
  },
]

type ReadOne = (snapshot: Snapshot) => number | undefined

function counter(name: string, help: string, read: ReadOne): Family {
  return counters([], name, help, (snapshot) => one(read(snapshot)))
}

function gauge(name: string, help: string, read: ReadOne): Family {
  return gauges([], name, help, (snapshot) => one(read(snapshot)))
}

function counters(labels: readonly string[], name: string, help: string, read: Family['read']): Family {
  return { name: `troop_${name}`, type: 'counter', help, labels, read }
}

function gauges(labels: readonly string[], name: string, help: string, read: Family['read']): Family {
  return { name: `troop_${name}`, type: 'gauge', help, labels, read }
}

function histogram(labels: readonly string[], name: string, help: string, read: Family['read']): Family {
  return { name: `troop_${name}`, type: 'histogram', help, labels, read }
}

function ofCaches(
  make: typeof counters,
  name: string,
  help: string,
  read: (counters: CacheCounters) => number,
): Family {
  return make(['level'], `cache_${name}`, help, ({ caches: { node, workers } }) =>
    by('level', { node: read(node), workers: read(workers) }),
  )
}

function ofHeaps(name: string, help: string, read: (heap: HeapUse) => number): Family {
  return gauges(['thread'], name, help, ({ heaps: { agent, workers } }) =>
    by('thread', { agent: read(agent), workers: workers && read(workers) }),
  )
}

function answersOf(proxy: Counters): Record<string, number> {
  const none = record(statusesShown, () => 0)
  return { ...none, ...Object.fromEntries(proxy.answers) }
}

function answersOfApis(apis: Snapshot['apis']): readonly Series[] {
  return [...apis].flatMap(([api, counts]) =>
    [...counts.answers].map(([status, value]) => ({ labels: { api, status: String(status) }, value })),
  )
}

/** Those that were measured: most APIs of many have no traffic. */
function latenciesOfApis(apis: Snapshot['apis'], latency: ApiLatency): readonly Series[] {
  return [...apis].flatMap(([api, counts]) => {
    const value = counts.latency(latency)
    return value.count > 0 ? [{ labels: { api }, value }] : []
  })
}

function failuresOf({ failures }: Counters): readonly Series[] {
  return upstreamFailureReasons.map((reason) => ({
    labels: { kind: upstreamFailures[reason], reason },
    value: failures[reason],
  }))
}

/** One that is being closed may be counted in one place and not in the other, for a moment. */
function upstreamConnectionsOf(proxy: Counters): Record<string, number> {
  const inUse = proxy.get('upstreamInUse')
  return { in_use: inUse, idle: Math.max(0, proxy.get('upstreamOpen') - inUse) }
}

/** The one series of a family without labels. */
function one(value: Series['value']): readonly Series[] {
  return [{ labels: {}, value }]
}

/** A series for each value of one label. */
function by(label: string, values: Readonly<Record<string, Series['value']>>): readonly Series[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }))
}

function record<Name extends string | number>(
  names: readonly Name[],
  value: (name: Name) => number,
): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, value(name)]))
}
