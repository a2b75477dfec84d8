// What one worker knows (L1): its own entries and projection, told of every change by the agent and brought up to
// the newest one before anything is answered.
import type { Clock } from '../base/clock.ts'
import { TroopError } from '../base/errors.ts'
import type { Row } from '../base/json.ts'
import type { Position } from '../base/stamp.ts'
import {
  type Attempt,
  Cache,
  type CacheCounters,
  type Entry,
  type Landed,
  type SingleFlight,
} from '../cache/cache.ts'
import type { Entity, Lookup } from '../entities/define.ts'
import { type Cached, idOf, perform } from './apply.ts'
import type { Changes, Part, Seed } from './audience.ts'
import type { Catalog, Projection, Replacement, View } from './catalog.ts'
import { Unknown } from './errors.ts'
import { Holdings } from './holdings.ts'
import { KeyFilter } from './key-filter.ts'
import { findableKey, type KeyValues } from './keys.ts'
import { type Report, type ToWorker, type WorkerEnd, WorkerLink } from './link.ts'
import type { Patch } from './patches.ts'
import { WaitingList } from './waiting-list.ts'

export interface WorkerCatalogOptions {
  readonly end: WorkerEnd
  /** Kept in step with the agent's projected entity: the router. */
  readonly projection: Projection
  readonly clock: Clock
  /** Estimated bytes of entries; see `Cache`. */
  readonly maxBytes: number
  /** Where it counts; see `Cache`. */
  readonly counters?: Float64Array | undefined
  /** Requests that wait for lookups at once; beyond it they are unknown at once. Default 10,000. */
  readonly waitersMax?: number
}

/** What the next seed is of. */
interface Loading {
  readonly rows: Map<string, Row>
  readonly projection: Replacement
}

interface Query {
  readonly entity: Entity
  readonly lookup: Lookup
  readonly values: KeyValues
}

/** What a view may be checked against: moves with everything that can make an answer differ. */
interface State {
  readonly position: Position
  /** Seeds and purges so far. */
  readonly epoch: number
}

export class WorkerCatalog implements Catalog {
  /** Resolves once the first seed has come; before that every lookup is unknown. */
  readonly ready: Promise<void>
  readonly #projection: Projection
  readonly #cache: Cache<Cached>
  readonly #flights: SingleFlight<Cached, Query>
  readonly #holdings: Holdings
  readonly #link: WorkerLink
  readonly #waiting: WaitingList
  readonly #asked = new Map<number, Attempt<Cached, Query>>()
  readonly #ready = Promise.withResolvers<void>()
  /** The projected rows, so that the projection is told of an old row by the very object it was given. */
  #rows = new Map<string, Row>()
  #loading: Loading
  /** What views need of this, made once for all. */
  readonly #source: Source = {
    state: () => this.#stateIfKnown(),
    look: (key, query) => this.#look(key, query),
    peek: (key) => this.#cache.peek(key),
    peekPurged: (key) => this.#cache.peekPurged(key),
    isAbsent: (query) => this.#isAbsent(query),
  }
  #filter: KeyFilter | undefined
  #state: State = { position: 0, epoch: 0 }
  #lastId = 0

  constructor({ end, projection, clock, maxBytes, counters, waitersMax = 10_000 }: WorkerCatalogOptions) {
    this.ready = this.#ready.promise
    this.ready.catch(() => undefined)
    this.#projection = projection
    this.#loading = this.#beginLoading()
    this.#cache = new Cache({ maxBytes, counters })
    this.#flights = this.#cache.flights({
      position: () => this.#state.position,
      send: (attempt) => this.#ask(attempt),
      // The agent bounds and queues what goes to the datastore; here each waits for one message.
      flightsMax: waitersMax,
      waitersMax,
    })
    this.#waiting = new WaitingList(clock, (position) => this.#link.tell({ kind: 'reach', position }))
    this.#holdings = new Holdings(this.#cache, () => this.#rows)
    this.#link = new WorkerLink(
      end,
      (message) => this.#receive(message),
      (error) => {
        this.#asked.clear()
        this.#flights.failAll(error)
        this.#waiting.dismiss()
        this.#ready.reject(error)
      },
    )
  }

  get counters(): CacheCounters {
    return this.#cache.counters
  }

  /** @throws {Unknown} when this worker has no seed yet, or lost its agent */
  position(): Position {
    return this.#catchUp().position
  }

  /** @throws {Unknown} as `position` */
  async reach(position: Position, signal: AbortSignal): Promise<void> {
    if (this.#catchUp().position < position) await this.#waiting.wait(position, signal)
  }

  /** @throws {Unknown} as `position` */
  view(): View {
    return new WorkerView(this.#catchUp(), this.#source)
  }

  close(): void {
    this.#link.close()
  }

  #catchUp(): State {
    try {
      this.#link.catchUp()
    } catch (error) {
      throw new Unknown('anything', error)
    }
    if (this.#state.epoch === 0) throw new Unknown('anything', new Error('this worker has no seed yet'))
    return this.#state
  }

  #stateIfKnown(): State | undefined {
    try {
      return this.#catchUp()
    } catch {
      return undefined
    }
  }

  #look(key: string, query: Query): Entry<Cached> | Promise<Landed<Cached>> {
    this.#catchUp()
    const entry = this.#cache.get(key)
    if (entry) return entry
    if (!this.#isAbsent(query)) return this.#flights.join(key, query)
    this.#cache.countAbsence()
    return { value: null, position: this.#state.position }
  }

  /**
   * Whether it is certain that no row has the key, as of this thread's own position. The agent takes keys out of the
   * filter after it has posted why, so one that is missing too early shows in the count.
   */
  #isAbsent({ lookup, values }: Query): boolean {
    return this.#filter?.isAbsent(lookup, values) === true && this.#link.isCaughtUp
  }

  #ask(attempt: Attempt<Cached, Query>): void {
    const { entity, lookup, values } = attempt.query
    const id = ++this.#lastId
    this.#asked.set(id, attempt)
    this.#link.tell({ kind: 'find', id, entity: entity.name, lookup: entity.lookups.indexOf(lookup), values })
  }

  /** Stores what comes right here and not where it is awaited: until then, more could have come. */
  #receive(message: ToWorker): void {
    switch (message.kind) {
      case 'part':
        this.#load(message)
        break
      case 'seed':
        this.#seed(message)
        break
      case 'changes':
        this.#change(message)
        break
      case 'purge':
        this.#state = { ...this.#state, epoch: this.#state.epoch + 1 }
        this.#cache.purge(message.position)
        break
      case 'forget':
        this.#cache.forget(message.key)
        break
      case 'filter':
        this.#filter = message.filter && new KeyFilter(message.filter)
        break
      case 'found':
        this.#answered(message.id)?.land(message.value, message.position, message.standIn)
        break
      case 'failed':
        this.#answered(message.id)?.fail(new TroopError(message.code, message.message))
        break
      case 'list':
        this.#report(message.id, this.#holdings.page(message.of, message.anew))
        break
      case 'inspect':
        this.#report(message.id, this.#holdings.inspect(message.of, message.keys))
        break
    }
  }

  #report(id: number, report: Report): void {
    this.#link.tell({ kind: 'report', id, report })
  }

  /** Undefined for what was asked before a seed: it was asked again since. */
  #answered(id: number): Attempt<Cached, Query> | undefined {
    const attempt = this.#asked.get(id)
    this.#asked.delete(id)
    return attempt
  }

  #beginLoading(): Loading {
    return { rows: new Map(), projection: this.#projection.begin() }
  }

  #load({ rows, anew }: Part): void {
    if (anew) this.#loading = this.#beginLoading()
    for (const row of rows) this.#loading.rows.set(idOf(row), this.#loading.projection.add(row))
  }

  #seed({ position, patches }: Seed): void {
    this.#rows = this.#loading.rows
    this.#loading.projection.finish()
    this.#loading = this.#beginLoading()
    for (const patch of patches) this.#patch(patch)
    this.#filter = undefined
    this.#state = { position, epoch: this.#state.epoch + 1 }
    this.#cache.reset()
    this.#asked.clear()
    this.#flights.restart()
    this.#waiting.reached(position)
    this.#ready.resolve()
  }

  #change({ position, operations, patches }: Changes): void {
    this.#state = { ...this.#state, position }
    for (const operation of operations) perform(operation, this.#cache)
    for (const patch of patches) this.#patch(patch)
    this.#waiting.reached(position)
  }

  #patch({ id, row }: Patch): void {
    const old = this.#rows.get(id) ?? null
    if (row) this.#rows.set(id, row)
    else this.#rows.delete(id)
    this.#projection.patch(old, row)
  }
}

/** What a view needs of its catalog. */
interface Source {
  /** The newest; undefined when the agent is lost. */
  state(): State | undefined
  look(key: string, query: Query): Entry<Cached> | Promise<Landed<Cached>>
  peek(key: string): Entry<Cached> | undefined
  peekPurged(key: string): Entry<Cached> | undefined
  isAbsent(query: Query): boolean
}

interface Answer {
  readonly key: string
  readonly query: Query
  readonly value: Cached | null
  readonly standIn: boolean
}

const nothing: readonly Row[] = []

class WorkerView implements View {
  readonly #source: Source
  readonly #opened: State
  /** A second answer under one key must be the first one again, or the view does not hold. */
  readonly #answers: Answer[] = []

  constructor(opened: State, source: Source) {
    this.#opened = opened
    this.#source = source
  }

  get position(): Position {
    return this.#opened.position
  }

  one(entity: Entity, lookup: Lookup, ...values: (string | null)[]): Row | null | Promise<Row | null> {
    return this.#look({ entity, lookup, values }) as Row | null | Promise<Row | null>
  }

  many(
    entity: Entity,
    lookup: Lookup,
    ...values: (string | null)[]
  ): readonly Row[] | Promise<readonly Row[]> {
    const found = this.#look({ entity, lookup, values }) as null | readonly Row[] | Promise<readonly Row[]>
    return found ?? nothing
  }

  holds(): boolean {
    const state = this.#source.state()
    if (state === undefined) return false
    if (state === this.#opened) return true
    return this.#answers.every(({ key, query, value, standIn }) => {
      const entry = this.#source.peek(key) ?? (standIn ? this.#source.peekPurged(key) : undefined)
      if (entry === undefined) return value === null && this.#source.isAbsent(query)
      return entry.value === value
    })
  }

  #look(query: Query): Cached | null | Promise<Cached | null> {
    const key = findableKey(query.lookup, query.values)
    if (key === undefined) return null
    const found = this.#source.look(key, query)
    if (!(found instanceof Promise)) return this.#record(key, query, found.value, false)
    const answered = found.then(
      ({ value, standIn }) => this.#record(key, query, value, standIn),
      (cause) => {
        throw new Unknown(key, cause)
      },
    )
    // A plugin that refuses before it awaits what it asked for leaves a rejection that is nobody's.
    answered.catch(() => undefined)
    return answered
  }

  #record(key: string, query: Query, value: Cached | null, standIn: boolean): Cached | null {
    this.#answers.push({ key, query, value, standIn })
    return value
  }
}
