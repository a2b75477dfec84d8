// The datastore of a simulated world, as its server sees it: the log, the tables, the nodes, and who listens. Every call
// here happens at one instant; sessions.ts brings nodes here, late or never.
import type { Row } from '../../src/base/json.ts'
import type { Random } from '../../src/base/random.ts'
import type { Position, Stamp } from '../../src/base/stamp.ts'
import type { RegisteredLife } from '../../src/database/database.ts'
import { eventDigest } from '../../src/event-log/digest.ts'
import type { LogEvent, Operation } from '../../src/event-log/event.ts'
import type { Page } from '../../src/event-log/event-log.ts'
import { epochMs } from './process.ts'
import type { Scheduler } from './scheduler.ts'
import { Changes, type RowChange, type Tables } from './tables.ts'

/** What was true from one transaction to the next. States of lost histories hang on the one that they branched off. */
export interface State extends Stamp {
  /** Its first event. */
  readonly first: Position
  readonly at: number
  readonly tables: Tables
  readonly changes: readonly RowChange[]
  readonly before: State | undefined
  /** Lives of those that had not left, by name. */
  readonly registered: ReadonlyMap<string, Position>
}

/** A row of `nodes`; `created_at` aside as the migrations have it. */
export interface NodeRow {
  readonly name: string
  readonly cluster_listening_address: string
  readonly status: 'alive' | 'leaving' | 'left'
  readonly life: Position | null
  readonly applied: Position | null
  readonly last_seen: number
  readonly ttl_on_failure: number
  readonly version: string
  readonly created_at: number
  readonly refuses_after_ms: number | null
  readonly forced_at: number | null
  readonly rejoined_at: number | null
}

export interface Committed {
  readonly stamp: Stamp
  readonly nodes: readonly RegisteredLife[]
}

/** A page is small here, so that there are several. */
const pageEvents = 20
const transactionEventsMax = 60

export class Datastore {
  readonly #scheduler: Scheduler
  readonly #random: Random
  /** Those that are kept, in order. */
  #events: LogEvent[] = []
  /** Every one that ever was, by its digest. */
  readonly #states = new Map<string, State>()
  /** Of this history, in order. */
  #history: State[] = []
  #nodes: ReadonlyMap<string, NodeRow> = new Map()
  /** The rows of nodes at each state of this history: a copy that is put back has them as they were. */
  readonly #nodesAt = new Map<State, ReadonlyMap<string, NodeRow>>()
  #secret: string | undefined
  /** Told `first` of each transaction, as it becomes visible. */
  readonly listeners = new Set<(first: Position) => void>()
  /** Told each state as it becomes visible. */
  readonly watchers = new Set<(state: State) => void>()
  /** By how much a replica is behind, in ms. */
  replicaLagMs = 0
  /** What its clock shows too much. */
  #skewMs = 0

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler
    this.#random = random
    const body = JSON.stringify({
      at: this.now(),
      entity: 'log',
      operation: 'genesis',
      cluster: random.uuid(),
    })
    const genesis = { position: 0, first: 0, digest: eventDigest('', 0, body), body }
    this.#events.push(genesis)
    this.#enter(genesis, new Map(), [])
  }

  /** By its own clock. */
  now(): number {
    return Math.floor(epochMs + this.#skewMs + this.#scheduler.now)
  }

  /** Its clock is set, or its machine was asleep. */
  setClock(byMs: number): void {
    this.#skewMs += byMs
  }

  get head(): State {
    return this.#history.at(-1) as State
  }

  /** The state that the digest names, in whatever history. */
  state(digest: string): State | undefined {
    return this.#states.get(digest)
  }

  get events(): readonly LogEvent[] {
    return this.#events
  }

  get nodes(): ReadonlyMap<string, NodeRow> {
    return this.#nodes
  }

  credentials(offered: string): { id: string; secret: string } {
    this.#secret ??= offered
    return { id: 'simulated', secret: this.#secret }
  }

  /** What a replica shows now. */
  replica(): State {
    const asOf = this.#scheduler.now - this.replicaLagMs
    return this.#history.findLast(({ at }) => at <= asOf) ?? (this.#history[0] as State)
  }

  /** Positions, digests, what is to be told and who must acknowledge: all at one instant, as under the log's lock. */
  commit(actor: string | null, work: (changes: Changes) => void): Committed {
    const changes = new Changes(this.head.tables)
    work(changes)
    return this.#append(changes.list, actor, changes.tables)
  }

  /** A transaction on `nodes`. `change` says what becomes of a row: null when it goes, undefined when nothing is said. */
  commitNodes(
    change: (rows: ReadonlyMap<string, NodeRow>) => readonly (readonly [string, NodeRow | null])[],
  ): {
    readonly committed: Committed
    readonly changed: number
  } {
    const changed = change(this.#nodes)
    const list: RowChange[] = []
    const rows = new Map(this.#nodes)
    const position = this.head.position
    for (const [name, next] of changed) {
      const old = rows.get(name) ?? null
      list.push({ entity: 'nodes', old: imageOf(old), new: imageOf(next) })
      // What a registration's life is, is known when it commits.
      if (next) rows.set(name, { ...next, life: next.life ?? position + list.length })
      else rows.delete(name)
    }
    this.#nodes = rows
    return { committed: this.#append(list, 'cluster', this.head.tables), changed: changed.length }
  }

  /** Writes columns that no event tells of. */
  touchNode(name: string, change: Partial<NodeRow>): void {
    const row = this.#nodes.get(name)
    if (row) this.#nodes = new Map(this.#nodes).set(name, { ...row, ...change })
  }

  isExpired({ last_seen, ttl_on_failure }: NodeRow): boolean {
    return last_seen < this.now() - ttl_on_failure * 1000
  }

  /** What follows `applied`, as postgres-event-log.ts has it. */
  read(applied: Stamp): Page {
    const oldest = (this.#events[0] as LogEvent).position
    const here = this.#events[applied.position - oldest]
    if (applied.position < oldest) return { kind: 'jump', reason: 'pruned' }
    if (!here || here.digest !== applied.digest) return { kind: 'other-history' }
    const rest = this.#events.slice(applied.position - oldest + 1)
    const page: LogEvent[] = []
    for (const event of rest) {
      const isNew = event.first === event.position
      if (isNew && page.length >= pageEvents) break
      page.push(event)
    }
    const transaction = page.filter(({ first }) => first === page[0]?.first)
    if (transaction.length > transactionEventsMax) return { kind: 'jump', reason: 'too-big' }
    const whole = page.length > pageEvents && transaction.length < page.length ? cutAt(page) : page
    return { kind: 'events', events: whole, more: whole.length < rest.length }
  }

  /** Whether this event is in this history, and kept. */
  has({ position, digest }: Stamp): boolean {
    const [oldest] = this.#events as [LogEvent]
    return this.#events[position - oldest.position]?.digest === digest
  }

  /** Takes away the oldest transactions down to `keepEvents`, but none that a node may need. */
  prune(keepEvents: number): number {
    const needed = [...this.#nodes.values()]
      .filter((row) => row.status !== 'left' && !this.isExpired(row))
      .map(({ applied }) => applied ?? 0)
    return this.cutOff(Math.min(this.head.position - keepEvents + 1, ...needed))
  }

  /** Takes away what is before `position`, whoever needs it. */
  cutOff(position: Position): number {
    const first = Math.min(position, this.head.first)
    const before = this.#events.length
    this.#events = this.#events.filter((event) => event.first >= first)
    return before - this.#events.length
  }

  /** Another server takes over, which never had what came after `position`. */
  loseTail(position: Position): void {
    // The oldest transaction that is kept is there still: a log is never empty, whatever was pruned.
    const { first: oldest } = this.#events[0] as LogEvent
    const lost = this.#history.findIndex((state) => state.position > position && state.first > oldest)
    if (lost < 0) return
    this.#history = this.#history.slice(0, lost)
    this.#events = this.#events.filter(({ position: at }) => at <= this.head.position)
    this.#nodes = this.#nodesAt.get(this.head) ?? new Map()
  }

  uuid(): string {
    return this.#random.uuid()
  }

  #append(list: readonly RowChange[], actor: string | null, tables: Tables): Committed {
    const nodes = this.#recipients()
    if (list.length === 0) return { stamp: this.head, nodes }
    const first = this.head.position + 1
    let { digest } = this.head
    for (const change of list) {
      const position = (this.#events.at(-1) as LogEvent).position + 1
      const operation: Operation = change.old === null ? 'create' : change.new === null ? 'delete' : 'update'
      // As Postgres prints it, where somebody looks.
      const rest = JSON.stringify({ ...change, operation, actor, schema: 1 })
      const body = `{"at": ${this.now()}, ${rest.slice(1)}`
      digest = eventDigest(digest, position, body)
      this.#events.push({ position, first, digest, body })
    }
    const state = this.#enter(this.#events.at(-1) as LogEvent, tables, list)
    for (const tell of this.watchers) tell(state)
    for (const tell of this.listeners) tell(first)
    return { stamp: { position: state.position, digest: state.digest }, nodes }
  }

  #enter({ position, first, digest }: LogEvent, tables: Tables, changes: readonly RowChange[]): State {
    const before = this.#history.at(-1)
    const rows = [...this.#nodes.values()].filter(({ life, status }) => life !== null && status !== 'left')
    const registered = new Map(rows.map(({ name, life }) => [name, life as Position]))
    const state: State = {
      ...{ position, first, digest, at: this.#scheduler.now, tables, changes, before, registered },
    }
    this.#states.set(digest, state)
    this.#history.push(state)
    this.#nodesAt.set(state, this.#nodes)
    return state
  }

  #recipients(): RegisteredLife[] {
    const now = this.now()
    return [...this.#nodes.values()].flatMap<RegisteredLife>((row) => {
      const { name, life, status, refuses_after_ms: bound, forced_at: forcedAt } = row
      if (life === null) return []
      if (status !== 'left') return [{ name, life, lapsesMs: null, expired: this.isExpired(row) }]
      if (forcedAt === null || bound === null || forcedAt < now - bound) return []
      return [{ name, life, lapsesMs: Math.max(0, bound - (now - forcedAt)), expired: false }]
    })
  }
}

/** A page that ends where its last whole transaction does. */
function cutAt(page: readonly LogEvent[]): readonly LogEvent[] {
  const last = (page.at(-1) as LogEvent).first
  return page.filter(({ first }) => first !== last)
}

function imageOf(row: NodeRow | null): Row | null {
  return row && { ...row }
}
