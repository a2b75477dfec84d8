// Entities as they lie in Postgres. Rows go in and come out as images, the form in which `to_jsonb` prints them
// and events carry them, so no column needs a conversion of its own.
import assert from 'node:assert/strict'
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Row } from '../base/json.ts'
import type { Stamped } from '../base/stamp.ts'
import type { Database } from '../database/database.ts'
import type { Tables } from '../database/tables.ts'
import type { Entity, Lookup } from '../entities/define.ts'
import { violationOf } from './constraints.ts'
import { isOver } from './expiry.ts'
import { readPageStamped, readStamped, scanStamped } from './stamped.ts'
import type { Filter, KeyPage, Listing, PageRequest, Store, Written } from './store.ts'

export class PostgresStore implements Store {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async find(
    entity: Entity,
    lookup: Lookup,
    values: readonly (string | null)[],
    source: 'primary' | 'replica',
  ): Promise<Stamped<readonly Row[]>> {
    const where = under(lookup, [values])
    const { primary, replica } = this.#database
    try {
      return await readStamped(source === 'replica' ? replica : primary, entity.name, where)
    } catch (error) {
      // A replica is there to take load off the primary; nothing depends on it, whatever is wrong with it.
      if (replica === primary || source !== 'replica') throw error
      return readStamped(primary, entity.name, where)
    }
  }

  findMany(
    entity: Entity,
    lookup: Lookup,
    keys: readonly (readonly (string | null)[])[],
  ): Promise<Stamped<readonly Row[]>> {
    return readStamped(this.#database.primary, entity.name, under(lookup, keys))
  }

  scan(entity: Entity, take: (rows: readonly Row[]) => void): Promise<Stamped<number>> {
    return this.#database.reading((trx) => scanStamped(trx, entity.name, take))
  }

  page(entity: Entity, page: KeyPage): Promise<Stamped<readonly Row[]>> {
    return readPageStamped(this.#database.primary, entity.name, page)
  }

  async read(entity: Entity, where: Filter): Promise<Row | null> {
    const { rows } = await selectOne(entity, where).execute(this.#database.primary)
    return rows[0]?.image ?? null
  }

  async list(entity: Entity, where: Filter, { size, page }: PageRequest): Promise<Listing> {
    const table = sql.table(entity.name)
    // Beyond what an integer holds there are no rows either.
    const offset = Math.min((page - 1) * size, Number.MAX_SAFE_INTEGER)
    const query = sql<{ total: number; image: Row | null }>`
      select counted.total, found.image
      from (select count(*) as total from ${table} entity where ${matching(where)}) counted
      left join (
        select to_jsonb(entity) as image, entity.created_at, entity.id
        from ${table} entity where ${matching(where)}
        order by entity.created_at, entity.id limit ${size} offset ${offset}
      ) found on true
      order by found.created_at, found.id`
    const { rows } = await query.execute(this.#database.primary)
    return {
      rows: rows.flatMap(({ image }) => (image === null ? [] : [image])),
      total: rows[0]?.total ?? 0,
    }
  }

  async count(entity: Entity): Promise<number> {
    const query = sql<{ total: number }>`select count(*) as total from ${sql.table(entity.name)}`
    return (await query.execute(this.#database.primary)).rows[0]?.total ?? 0
  }

  async distinct(entity: Entity, column: string): Promise<readonly string[]> {
    const query = sql<{ value: string }>`
      select distinct ${sql.ref(column)}::text collate "C" as value from ${sql.table(entity.name)}
      where ${sql.ref(column)} is not null order by value`
    return (await query.execute(this.#database.primary)).rows.map(({ value }) => value)
  }

  insert(entity: Entity, row: Row, actor: string | null): Promise<Written> {
    return this.#write('create', actor, (trx) => insertRow(trx, entity, row)) as Promise<Written>
  }

  update(
    entity: Entity,
    where: Filter,
    revise: (current: Row) => Row,
    actor: string | null,
  ): Promise<Written | null> {
    return this.#write('update', actor, async (trx) => {
      const found = await sql<{ image: Row }>`${selectOne(entity, where)} for update`.execute(trx)
      const current = found.rows[0]?.image
      if (!current) return null
      const row = revise(current)
      const query = sql<{ image: Row }>`
        update ${sql.table(entity.name)} entity set ${assignments(entity, row)}
        where entity.id = ${current.id} returning to_jsonb(entity) as image`
      const { rows } = await naming(entity, row, query.execute(trx))
      return rows[0]?.image ?? null
    })
  }

  remove(
    entity: Entity,
    where: Filter,
    agree: (current: Row) => void,
    actor: string | null,
  ): Promise<Written | null> {
    return this.#write('delete', actor, async (trx) => {
      const found = await sql<{ image: Row }>`${selectOne(entity, where)} for update`.execute(trx)
      const current = found.rows[0]?.image
      if (!current) return null
      agree(current)
      await sql`delete from ${sql.table(entity.name)} entity where entity.id = ${current.id}`.execute(trx)
      return current
    })
  }

  exchange(
    from: Entity,
    where: Filter,
    to: Entity,
    make: (taken: Row) => Row,
    actor: string | null,
  ): Promise<Written | null> {
    return this.#write('create', actor, async (trx) => {
      // No read before it: who deletes the row has it, and whoever waits for its lock finds it gone.
      const query = sql<{ image: Row }>`
        delete from ${sql.table(from.name)} entity
        where ${matching(where)} and (${isOver(from, 'entity')}) is not true
        returning to_jsonb(entity) as image`
      const { rows } = await query.execute(trx)
      const [taken, ...others] = rows
      assert(others.length === 0, `${from.name}: several rows would be exchanged for one`)
      return taken ? insertRow(trx, to, make(taken.image)) : null
    })
  }

  async #write(
    operation: Written['operation'],
    actor: string | null,
    work: (trx: Kysely<Tables>) => Promise<Row | null>,
  ): Promise<Written | null> {
    const { value: row, stamp, nodes } = await this.#database.transaction(work, { actor })
    return row && { row, operation, stamp, nodes }
  }
}

/** Columns of every entity that are set once, when the row is made. */
const lasting = ['id', 'created_at']

function columnsOf(entity: Entity): string[] {
  return Object.keys(entity.fields)
}

async function insertRow(trx: Kysely<Tables>, entity: Entity, row: Row): Promise<Row | null> {
  const columns = columnsOf(entity).filter((column) => row[column] !== undefined)
  const names = sql.join(columns.map((column) => sql.ref(column)))
  const values = columns.length
    ? sql`(${names}) select ${names} from ${record(entity, row)}`
    : sql`default values`
  const query = sql<{ image: Row }>`
    insert into ${sql.table(entity.name)} as entity ${values} returning to_jsonb(entity) as image`
  const { rows } = await naming(entity, row, query.execute(trx))
  return rows[0]?.image ?? null
}

function selectOne(entity: Entity, where: Filter): RawBuilder<{ image: Row }> {
  return sql<{ image: Row }>`
    select to_jsonb(entity) as image from ${sql.table(entity.name)} entity where ${matching(where)}
    order by entity.created_at, entity.id limit 1`
}

/** The condition that a row is under one of these keys. */
function under(lookup: Lookup, keys: readonly (readonly (string | null)[])[]): RawBuilder<unknown> {
  const everywhere = keys.length > 0 && lookup.everywhere ? [lookup.by.map(() => null)] : []
  const conditions = [...keys, ...everywhere].map((values) => sql`(${matching(filterOf(lookup, values))})`)
  return conditions.length > 0 ? sql.join(conditions, sql` or `) : sql`false`
}

function filterOf(lookup: Lookup, values: readonly (string | null)[]): Filter {
  return Object.fromEntries(lookup.by.map((column, i) => [column, values[i] ?? null]))
}

/** The condition that all columns have these values, on a table that the query calls `entity`. */
function matching(where: Filter): RawBuilder<unknown> {
  const conditions = Object.entries(where).map(([column, value]) => {
    if (value === null) return sql`${sql.ref(`entity.${column}`)} is null`
    // Postgres' texts can't hold a zero byte: no row has one, and asking for it would be an error.
    if (typeof value === 'string' && value.includes('\0')) return sql`false`
    return sql`${sql.ref(`entity.${column}`)} = ${value}`
  })
  return conditions.length > 0 ? sql.join(conditions, sql` and `) : sql`true`
}

/** `row` as a row of the table, each value converted as Postgres reads it from JSON. */
function record(entity: Entity, row: Row): RawBuilder<unknown> {
  for (const column of Object.keys(row)) assert(column in entity.fields, `${entity.name} has no ${column}`)
  return sql`jsonb_populate_record(null::${sql.table(entity.name)}, ${JSON.stringify(row)}::jsonb)`
}

function assignments(entity: Entity, row: Row): RawBuilder<unknown> {
  const columns = columnsOf(entity).filter((column) => !lasting.includes(column))
  const given = columns.filter((column) => row[column] !== undefined).map((column) => sql.ref(column))
  const left = columns.filter((column) => row[column] === undefined)
  const defaults = left.map((column) => sql`${sql.ref(column)} = default`)
  if (given.length === 0) return sql.join(defaults)
  const names = sql.join(given)
  return sql.join([sql`(${names}) = (select ${names} from ${record(entity, row)})`, ...defaults])
}

/** Tells violated constraints by attribute and value. */
async function naming<T>(entity: Entity, row: Row, write: Promise<T>): Promise<T> {
  try {
    return await write
  } catch (error) {
    throw violationOf(error, entity, row)
  }
}
