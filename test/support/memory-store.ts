// A Store without a datastore: what the Admin API's unit tests run on. It holds to the interface's promises that
// they need, unique attributes and foreign keys included; that Postgres does too is for test/integration to show.
import type { Row } from '../../src/base/json.ts'
import type { Stamp, Stamped } from '../../src/base/stamp.ts'
import type { Entity, Lookup } from '../../src/entities/define.ts'
import { AlreadyExists, DoesNotExist } from '../../src/store/errors.ts'
import type { Filter, KeyPage, Listing, PageRequest, Store, Written } from '../../src/store/store.ts'

/** Columns, alone or together, that no two rows share; null shares with nothing unless the rule is of several. */
const uniqueRules: Readonly<Record<string, readonly (readonly string[])[]>> = {
  apis: [['id'], ['name'], ['request_host'], ['request_path']],
  consumers: [['id'], ['username'], ['custom_id']],
  plugins: [['id'], ['api_id', 'name', 'consumer_id']],
  keyauth_credentials: [['id'], ['key']],
}

export class MemoryStore implements Store {
  readonly #tables = new Map<string, Row[]>()
  #position = 0
  /** Thrown by every call while it is set. */
  failure: Error | undefined
  readonly actors: (string | null)[] = []

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

  async scan(entity: Entity): Promise<Stamped<Row[]>> {
    return { value: this.#matching(entity, {}), stamp: this.#stamp() }
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
    const made = { created_at: 1_461_276_890_000, id: crypto.randomUUID(), ...row }
    this.#refuse(entity, made, this.rows(entity.name))
    this.rows(entity.name).push(made)
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
    const rows = this.rows(entity.name)
    rows.splice(rows.indexOf(current), 1)
    return this.#written('delete', current, actor)
  }

  #matching(entity: Entity, where: Filter): Row[] {
    if (this.failure) throw this.failure
    const wanted = Object.entries(where)
    return this.rows(entity.name).filter((row) =>
      wanted.every(([column, value]) => (row[column] ?? null) === value),
    )
  }

  #refuse(entity: Entity, row: Row, others: readonly Row[]): void {
    for (const columns of uniqueRules[entity.name] ?? [['id']]) {
      const isAlone = columns.length === 1
      const taken = others.some((other) =>
        columns.every((column) => (other[column] ?? null) === (row[column] ?? null)),
      )
      const value = row[columns[0] as string] ?? null
      if (!taken || (isAlone && value === null)) continue
      if (!isAlone) {
        throw new AlreadyExists('Plugin configuration already exists', undefined, null, undefined)
      }
      throw new AlreadyExists(`already exists with value '${value}'`, columns[0], value, undefined)
    }
    for (const [column, { references }] of Object.entries(entity.fields)) {
      const value = row[column] ?? null
      if (!references || value === null || this.rows(references).some(({ id }) => id === value)) continue
      throw new DoesNotExist(`does not exist with value '${value}'`, column, value, undefined)
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
