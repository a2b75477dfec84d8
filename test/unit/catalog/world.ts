// A datastore, its log and whoever follows it, as far as the catalog can tell, for tests that decide themselves
// when an answer arrives and how old it is.
import { systemClock } from '../../../src/base/clock.ts'
import type { Row } from '../../../src/base/json.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import type { Position, Stamp, Stamped } from '../../../src/base/stamp.ts'
import { AgentCatalog, type Progress } from '../../../src/catalog/agent-catalog.ts'
import { byCreation, idOf } from '../../../src/catalog/apply.ts'
import { cacheKey, keyOfRow } from '../../../src/catalog/keys.ts'
import { api } from '../../../src/entities/api.ts'
import { consumer } from '../../../src/entities/consumer.ts'
import { commonFields, defineEntity, type Entity, type Lookup } from '../../../src/entities/define.ts'
import { plugin } from '../../../src/entities/plugin.ts'
import type { LogEvent, Operation } from '../../../src/event-log/event.ts'
import type { KeyPage, StampedReader } from '../../../src/store/store.ts'

export const credential = defineEntity({
  name: 'keyauth_credentials',
  fields: { ...commonFields, key: { type: 'string' }, consumer_id: { type: 'id' } },
  lookups: [{ prefix: 'keyauth_credentials', by: ['key'] }],
})

export { api, consumer, plugin }
export const byKey = credential.lookups[0]
export const byId = consumer.lookups[0]
export const byApi = plugin.lookups[0]
export const entities: readonly Entity[] = [api, consumer, plugin, credential]

/** One change of a transaction: `row` of null deletes. */
export interface Write {
  readonly entity: Entity
  readonly id: string
  readonly row: Row | null
  readonly schema?: number
}

/** A read that was sent and not answered. */
export interface Question {
  readonly source: 'primary' | 'replica'
  readonly key: string
  /** The head when it was sent: below it no primary answers. */
  readonly sent: Position
  /** Answers with what the datastore held at that position, by default the newest. */
  answer(position?: Position): Promise<void>
  fail(error: unknown): Promise<void>
}

type Tables = ReadonlyMap<string, Row>

/** Lets everything that was resolved by now run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A datastore whose every state is kept, by position. */
export class Datastore implements StampedReader {
  /** By position; a transaction of several events shares its last state. */
  #states: Tables[] = [new Map()]
  #events: LogEvent[] = [eventOf(0, 0, 'genesis', { entity: 'log', operation: 'genesis' })]
  #history = 'first'
  readonly questions: Question[] = []
  /** When set, every read is answered at once, or fails with what this returns. */
  answers: (() => Error | undefined) | undefined = () => undefined
  scanFails: Error | undefined
  /** What `find` answers under a key instead of what is there, as a fault would. */
  readonly lies = new Map<string, readonly Row[]>()
  /** Whether it is known not to answer. */
  isAway = false

  get head(): Stamp {
    return this.stampAt(this.#events.length - 1)
  }

  stampAt(position: Position): Stamp {
    return { position, digest: this.#events[position]?.digest ?? '' }
  }

  commit(...writes: readonly Write[]): Position {
    const first = this.#events.length
    const after = new Map(this.#states.at(-1))
    writes.forEach(({ entity, id, row, schema = 1 }, n) => {
      const name = `${entity.name}/${id}`
      const old = after.get(name) ?? null
      if (row) after.set(name, row)
      else after.delete(name)
      const operation: Operation = row === null ? 'delete' : old ? 'update' : 'create'
      const change = { entity: entity.name, operation, old, new: row, actor: null, at: 0, schema }
      this.#events.push(eventOf(first + n, first, this.#history, change))
    })
    // Readers see whole transactions only.
    for (let n = 0; n < writes.length; n++) this.#states.push(after)
    return this.#events.length - 1
  }

  /** Another history: the log goes on differently after `position`. */
  rewind(position: Position, history: string): void {
    this.#events.length = position + 1
    this.#states.length = position + 1
    this.#history = history
  }

  /** As if the event had got lost on its way, and nobody noticed. */
  hide(position: Position): void {
    const event = this.#events[position] as LogEvent
    const change = { ...JSON.parse(event.body), entity: 'unheard of' }
    this.#events[position] = { ...event, body: JSON.stringify(change) }
  }

  /** The transaction that begins at `position`. */
  transaction(position: Position): readonly LogEvent[] {
    return this.#events.filter(({ first }) => first === position)
  }

  rowsAt(position: Position, entity: Entity): readonly Row[] {
    const rows = [...(this.#states[position] ?? [])].filter(([name]) => name.startsWith(`${entity.name}/`))
    return rows.map(([, row]) => row).sort(byCreation)
  }

  /** What a lookup must answer at a position: a row or null, or a list. */
  truthAt(position: Position, entity: Entity, lookup: Lookup, values: readonly (string | null)[]) {
    const rows = this.#matching(position, entity, lookup, values)
    return lookup.many ? rows : (rows[0] ?? null)
  }

  find(
    entity: Entity,
    lookup: Lookup,
    values: readonly (string | null)[],
    source: 'primary' | 'replica',
  ): Promise<Stamped<readonly Row[]>> {
    const key = cacheKey(lookup, values)
    const read = (position: Position) =>
      this.lies.get(key) ?? this.#matching(position, entity, lookup, values)
    return this.#ask(source, key, read)
  }

  findMany(
    entity: Entity,
    lookup: Lookup,
    keys: readonly (readonly (string | null)[])[],
  ): Promise<Stamped<readonly Row[]>> {
    const read = (position: Position) =>
      [...new Set(keys.flatMap((values) => this.#matching(position, entity, lookup, values)))].sort(
        byCreation,
      )
    return this.#ask('primary', keys.map((values) => cacheKey(lookup, values)).join(), read)
  }

  /** Hands out one row at a time. */
  async scan(entity: Entity, take: (rows: readonly Row[]) => void): Promise<Stamped<number>> {
    await settle()
    if (this.scanFails) throw this.scanFails
    const rows = structuredClone(this.rowsAt(this.head.position, entity))
    for (const row of rows) take([row])
    return { value: rows.length, stamp: this.head }
  }

  page(entity: Entity, { columns, after, size }: KeyPage): Promise<Stamped<readonly Row[]>> {
    const isAfter = (row: Row) => after === null || idOf(row) > after
    const imageOf = (row: Row) => Object.fromEntries(columns.map((column) => [column, row[column] ?? null]))
    const read = (position: Position) =>
      this.rowsAt(position, entity)
        .filter(isAfter)
        .sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
        .slice(0, size)
        .map(imageOf)
    return this.#ask('primary', `page of ${entity.name} after ${after}`, read)
  }

  #ask(
    source: 'primary' | 'replica',
    key: string,
    read: (position: Position) => readonly Row[],
  ): Promise<Stamped<readonly Row[]>> {
    const { promise, resolve, reject } = Promise.withResolvers<Stamped<readonly Row[]>>()
    const question: Question = {
      source,
      key,
      sent: this.head.position,
      answer: (position = this.head.position) => {
        resolve({ value: structuredClone(read(position)), stamp: this.stampAt(position) })
        return settle()
      },
      fail: (error) => {
        reject(error)
        return settle()
      },
    }
    if (this.answers) {
      const error = this.answers()
      void (error ? question.fail(error) : question.answer())
    } else {
      this.questions.push(question)
    }
    return promise
  }

  #matching(position: Position, entity: Entity, lookup: Lookup, values: readonly (string | null)[]) {
    const key = cacheKey(lookup, values)
    const isWithout = (row: Row) => lookup.by.every((column) => (row[column] ?? null) === null)
    return this.rowsAt(position, entity).filter(
      (row) => keyOfRow(lookup, row) === key || (lookup.everywhere === true && isWithout(row)),
    )
  }
}

/** Follows the log when told to, or when something must be reached. */
export class Follower implements Progress {
  readonly #datastore: Datastore
  readonly #waiters: { position: Position; resolve: () => void }[] = []
  catalog!: AgentCatalog
  applied: Stamp = { position: -1, digest: '' }
  /** Whether `reach` applies what is missing, as a pull would. */
  pulls = true
  readonly resets: string[] = []
  readonly observed: [Stamp, Stamp][] = []
  #loads = Promise.resolve()

  constructor(datastore: Datastore) {
    this.#datastore = datastore
  }

  /** One load after the other. Fails when another history is found meanwhile: then the next load is wanted already. */
  load(reason: string): Promise<void> {
    const load = this.#loads.then(async () => this.#advance(await this.catalog.load(reason)))
    this.#loads = load.catch(() => undefined)
    return load
  }

  /** Resolves once nothing is to be loaded any more. */
  async loaded(): Promise<void> {
    for (let seen: unknown; seen !== this.#loads; ) {
      seen = this.#loads
      await this.#loads
    }
  }

  /** Applies at most `count` transactions. */
  apply(count = Number.POSITIVE_INFINITY): void {
    for (let n = 0; n < count && this.applied.position < this.#datastore.head.position; n++) {
      const events = this.#datastore.transaction(this.applied.position + 1)
      const last = events.at(-1) as LogEvent
      this.catalog.apply(events)
      this.#advance({ position: last.position, digest: last.digest })
    }
  }

  async reach(position: Position): Promise<void> {
    if (this.applied.position >= position) return
    const waiter = Promise.withResolvers<void>()
    this.#waiters.push({ position, resolve: waiter.resolve })
    if (this.pulls) setImmediate(() => this.apply())
    await waiter.promise
  }

  observe(sent: Stamp, answered: Stamp): void {
    this.observed.push([sent, answered])
  }

  reset(reason: string): void {
    this.resets.push(reason)
    this.load(reason).catch(() => undefined)
  }

  #advance(stamp: Stamp): void {
    this.applied = stamp
    for (const waiter of this.#waiters) if (waiter.position <= stamp.position) waiter.resolve()
  }
}

export interface World {
  readonly datastore: Datastore
  readonly follower: Follower
  readonly catalog: AgentCatalog
}

/** An agent that has not loaded yet. */
export function makeWorld({
  maxBytes = 1_000_000,
  lookupMs = 5000,
  clock = systemClock,
  logger = silentLogger,
  filterKeysMax = 0,
  pageRows = 2,
  partRows = 2,
} = {}): World {
  const datastore = new Datastore()
  const follower = new Follower(datastore)
  const catalog = new AgentCatalog({
    entities,
    projected: api,
    store: datastore,
    progress: follower,
    isAway: () => datastore.isAway,
    clock,
    logger,
    filter: filterKeysMax ? { keysMax: filterKeysMax, pageRows, random: systemRandom } : undefined,
    maxBytes,
    lookupMs,
    partRows,
  })
  follower.catalog = catalog
  return { datastore, follower, catalog }
}

/** A row with an id and a time of creation made of a small number, and `more`. */
export function rowOf(n: number, more: Row): Row {
  return { id: uuid(n), created_at: 1_700_000_000_000 + (n % 3) * 1000, ...more }
}

export function uuid(n: number): string {
  return `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
}

export function create(entity: Entity, row: Row): Write {
  return { entity, id: idOf(row), row }
}

export function remove(entity: Entity, row: Row): Write {
  return { entity, id: idOf(row), row: null }
}

function eventOf(position: Position, first: Position, history: string, change: object): LogEvent {
  return { position, first, digest: `${history} ${position}`, body: JSON.stringify(change) }
}
