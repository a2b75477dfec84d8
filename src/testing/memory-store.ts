// A Store without a datastore: what the bench and the Admin API's own tests run on. It holds to the interface's promises
// that they need; that Postgres does too is for test/integration to show.
import { type Clock, systemClock } from '../base/clock.ts'
import type { Row } from '../base/json.ts'
import { type Random, systemRandom } from '../base/random.ts'
import type { Stamp, Stamped } from '../base/stamp.ts'
import type { Entity, Lookup } from '../entities/define.ts'
import { violationOf } from '../store/constraints.ts'
import type { Filter, KeyPage, Listing, PageRequest, Store, Written } from '../store/store.ts'

export interface MemoryStoreOptions {
  /** All that there are; what refers to a row that is removed is removed with it. Default: none is known. */
  readonly entities?: readonly Entity[]
  /** Told of each row, in order; null stands for none. */
  readonly onChange?: (entity: Entity, old: Row | null, next: Row | null) => void
  readonly clock?: Clock
  readonly random?: Random
}

/** Columns, alone or together, that no two rows share, where the entity does not say so; with the constraint's name. */
const coreRules: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  apis: {
    apis_name_key: ['name'],
    apis_request_host_key: ['request_host'],
    apis_request_path_key: ['request_path'],
  },
  consumers: { consumers_username_key: ['username'], consumers_custom_id_key: ['custom_id'] },
  plugins: { plugins_once: ['api_id', 'name', 'consumer_id'] },
}

export class MemoryStore implements Store {
  readonly #entities: readonly Entity[]
  readonly #onChange: NonNullable<MemoryStoreOptions['onChange']>
  readonly #clock: Clock
  readonly #random: Random
  readonly #tables = new Map<string, Row[]>()
  #position = 0
  /** Thrown by every call while it is set. */
  failure: Error | undefined
  readonly actors: (string | null)[] = []

  constructor(options: MemoryStoreOptions = {}) {
    this.#entities = options.entities ?? []
    this.#onChange = options.onChange ?? (() => {})
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? systemRandom
  }

  rows(name: string): Row[] {
    const rows = this.#tables.get(name) ?? []
    this.#tables.set(name, rows)
    return rows
  }

  get position(): number {
    return this.#position
  }

  async find(entity: Entity, lookup: Lookup, values: readonly (string | null)[]): Promise<Stamped<Row[]>> {
    const where = Object.fromEntries(lookup.by.map((column, i) => [column, values[i] ?? null]))
    const without = Object.fromEntries(lookup.by.map((column) => [column, null]))
    const everywhere = lookup.everywhere ? this.#matching(entity, without) : []
    const value = [...new Set([...this.#matching(entity, where), ...everywhere])]
    return { value, stamp: this.#stamp() }
  }

  async findMany(
    entity: Entity,
    lookup: Lookup,
    keys: readonly (readonly (string | null)[])[],
  ): Promise<Stamped<Row[]>> {
    const found = await Promise.all(keys.map((values) => this.find(entity, lookup, values)))
    return { value: found.flatMap(({ value }) => value), stamp: this.#stamp() }
  }

  async scan(entity: Entity, take: (rows: readonly Row[]) => void): Promise<Stamped<number>> {
    const rows = this.#matching(entity, {})
    take(rows)
    return { value: rows.length, stamp: this.#stamp() }
  }

  async page(entity: Entity, { after, size }: KeyPage): Promise<Stamped<Row[]>> {
    const rows = this.#matching(entity, {}).filter(({ id }) => after === null || String(id) > after)
    const page = rows.sort((a, b) => (String(a.id) < String(b.id) ? -1 : 1)).slice(0, size)
    return { value: page, stamp: this.#stamp() }
  }

  async read(entity: Entity, where: Filter): Promise<Row | null> {
    return this.#matching(entity, where)[0] ?? null
  }

  async list(entity: Entity, where: Filter, { size, page }: PageRequest): Promise<Listing> {
    const rows = this.#matching(entity, where)
    return { rows: rows.slice((page - 1) * size, page * size), total: rows.length }
  }

  async count(entity: Entity): Promise<number> {
    return this.#matching(entity, {}).length
  }

  async distinct(entity: Entity, column: string): Promise<string[]> {
    return [...new Set(this.#matching(entity, {}).map((row) => String(row[column])))].sort()
  }

  async insert(entity: Entity, row: Row, actor: string | null): Promise<Written> {
    this.#matching(entity, {})
    const unset = Object.fromEntries(Object.keys(entity.fields).map((column) => [column, null]))
    const createdAt = Math.floor(this.#clock.now() / 1000) * 1000
    const made: Row = { ...unset, created_at: createdAt, id: this.#random.uuid(), ...row }
    this.#refuse(entity, made, this.rows(entity.name))
    this.rows(entity.name).push(made)
    this.#onChange(entity, null, made)
    return this.#written('create', made, actor)
  }

  async update(
    entity: Entity,
    where: Filter,
    revise: (current: Row) => Row,
    actor: string | null,
  ): Promise<Written | null> {
    const current = this.#matching(entity, where)[0]
    if (!current) return null
    const rows = this.rows(entity.name)
    const { id, created_at } = current
    const next = { ...revise(current), id, created_at } as Row
    this.#refuse(
      entity,
      next,
      rows.filter((row) => row !== current),
    )
    rows[rows.indexOf(current)] = next
    this.#onChange(entity, current, next)
    return this.#written('update', next, actor)
  }

  async remove(
    entity: Entity,
    where: Filter,
    agree: (current: Row) => void,
    actor: string | null,
  ): Promise<Written | null> {
    const current = this.#matching(entity, where)[0]
    if (!current) return null
    agree(current)
    this.#drop(entity, current)
    return this.#written('delete', current, actor)
  }

  async exchange(
    from: Entity,
    where: Filter,
    to: Entity,
    make: (taken: Row) => Row,
    actor: string | null,
  ): Promise<Written | null> {
    const taken = this.#matching(from, where).find((row) => !this.#isOver(from, row))
    if (!taken) return null
    const written = await this.insert(to, make(taken), actor)
    this.#drop(from, taken)
    return written
  }

  /** The time after which a row is none is a number of ms, or one that Postgres shows as text. */
  #isOver({ expires }: Entity, row: Row): boolean {
    const end = expires === undefined ? null : (row[expires] ?? null)
    return end !== null && new Date(end as number | string).getTime() <= this.#clock.now()
  }

  #matching(entity: Entity, where: Filter): Row[] {
    if (this.failure) throw this.failure
    const wanted = Object.entries(where)
    return this.rows(entity.name).filter((row) =>
      wanted.every(([column, value]) => (row[column] ?? null) === value),
    )
  }

  /** With what refers to it, as foreign keys of the migrations have it that cascade. */
  #drop(entity: Entity, row: Row): void {
    const rows = this.rows(entity.name)
    rows.splice(rows.indexOf(row), 1)
    for (const other of this.#entities) {
      const columns = Object.keys(other.fields).filter(
        (name) => other.fields[name]?.references === entity.name,
      )
      const referring = this.rows(other.name).filter((one) =>
        columns.some((column) => one[column] === row.id),
      )
      for (const one of referring) this.#drop(other, one)
    }
    this.#onChange(entity, row, null)
  }

  #refuse(entity: Entity, row: Row, others: readonly Row[]): void {
    for (const [constraint, columns] of Object.entries(uniqueRules(entity))) {
      // Null shares with nothing, unless the rule is of several columns.
      if (columns.length === 1 && (row[columns[0] as string] ?? null) === null) continue
      const isTaken = others.some((other) =>
        columns.every((column) => (other[column] ?? null) === (row[column] ?? null)),
      )
      if (isTaken) throw violationOf(refusal('23505', constraint), entity, row)
    }
    for (const [column, { references }] of Object.entries(entity.fields)) {
      const value = row[column] ?? null
      if (!references || value === null || this.rows(references).some(({ id }) => id === value)) continue
      throw violationOf(refusal('23503', `${entity.name}_${column}_fkey`), entity, row)
    }
  }

  #written(operation: Written['operation'], row: Row, actor: string | null): Written {
    this.#position++
    this.actors.push(actor)
    return { operation, row, stamp: this.#stamp(), nodes: [] }
  }

  #stamp(): Stamp {
    return { position: this.#position, digest: '' }
  }
}

/** By the names of their constraints: what one row is looked up by, or called by, is no other's. */
function uniqueRules(entity: Entity): Readonly<Record<string, readonly string[]>> {
  const single = entity.lookups.filter(({ many }) => !many).map(({ by }) => by)
  const own = [...single, ...(entity.alias === undefined ? [] : [[entity.alias]])]
  const named = own.map((by) => [
    by.includes('id') ? `${entity.name}_pkey` : `${entity.name}_${by.join('_')}_key`,
    by,
  ])
  return { [`${entity.name}_pkey`]: ['id'], ...coreRules[entity.name], ...Object.fromEntries(named) }
}

/** As Postgres would refuse it. */
function refusal(sqlState: string, constraint: string): Error {
  return Object.assign(new Error(`violates ${constraint}`), { sqlState, cause: { constraint } })
}
