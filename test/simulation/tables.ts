// Tables of entities as the migrations make them: defaults, unique columns, foreign keys and their cascades. What is
// written is never changed, so a state that was kept stays what it was.
import type { Json, Row } from '../../src/base/json.ts'
import { byCreation, idOf } from '../../src/catalog/apply.ts'
import type { Entity } from '../../src/entities/define.ts'
import { AlreadyExists, DoesNotExist } from '../../src/store/errors.ts'
import type { Filter } from '../../src/store/store.ts'

/** All rows by table and id. */
export type Tables = ReadonlyMap<string, ReadonlyMap<string, Row>>

/** One row became another; null is none. */
export interface RowChange {
  readonly entity: string
  readonly old: Row | null
  readonly new: Row | null
}

/** Columns, alone or together, that no two rows share. Null shares with nothing, unless the rule is of several. */
const uniqueRules: Readonly<Record<string, readonly (readonly string[])[]>> = {
  apis: [['id'], ['name'], ['request_host'], ['request_path']],
  consumers: [['id'], ['username'], ['custom_id']],
  plugins: [['id'], ['api_id', 'name', 'consumer_id']],
  keyauth_credentials: [['id'], ['key']],
}

/** Whose rows go with a row of the table: by this column. */
const cascades: Readonly<Record<string, readonly (readonly [table: string, column: string])[]>> = {
  apis: [['plugins', 'api_id']],
  consumers: [
    ['plugins', 'consumer_id'],
    ['keyauth_credentials', 'consumer_id'],
  ],
}

const sorted = new WeakMap<ReadonlyMap<string, Row>, readonly Row[]>()

/** All of a table, the oldest first. Tables are never changed, so that is put in order once. */
function inOrder(table: ReadonlyMap<string, Row>): readonly Row[] {
  let rows = sorted.get(table)
  if (!rows) {
    rows = [...table.values()].sort(byCreation)
    sorted.set(table, rows)
  }
  return rows
}

export function rowsOf(tables: Tables, entity: string, where: Filter = {}): Row[] {
  const table = tables.get(entity)
  if (!table) return []
  const columns = Object.keys(where)
  return inOrder(table).filter((row) => columns.every((column) => (row[column] ?? null) === where[column]))
}

/** Changes of one transaction, on top of a state. */
export class Changes {
  readonly list: RowChange[] = []
  #tables: Tables

  constructor(tables: Tables) {
    this.#tables = tables
  }

  get tables(): Tables {
    return this.#tables
  }

  rows(entity: string, where: Filter = {}): Row[] {
    return rowsOf(this.#tables, entity, where)
  }

  /** `given` with what its table says of columns that are left out. @throws {AlreadyExists} {DoesNotExist} */
  insert(entity: Entity, given: Row, made: { id: string; created_at: number }): Row {
    const row = completed(entity, { ...made, ...given })
    this.#check(entity, row, null)
    this.#put(entity.name, null, row)
    return row
  }

  update(entity: Entity, old: Row, given: Row): Row {
    const { id, created_at } = old
    const row = completed(entity, { ...given, id, created_at } as Row)
    this.#check(entity, row, old)
    this.#put(entity.name, old, row)
    return row
  }

  remove(entity: string, row: Row): void {
    this.#put(entity, row, null)
    for (const [table, column] of cascades[entity] ?? []) {
      for (const child of this.rows(table, { [column]: idOf(row) })) this.remove(table, child)
    }
  }

  #put(entity: string, old: Row | null, next: Row | null): void {
    const rows = new Map(this.#tables.get(entity))
    if (next) rows.set(idOf(next), next)
    else if (old) rows.delete(idOf(old))
    this.#tables = new Map(this.#tables).set(entity, rows)
    this.list.push({ entity, old, new: next })
  }

  #check(entity: Entity, row: Row, old: Row | null): void {
    const others = this.rows(entity.name).filter(({ id }) => id !== old?.id)
    for (const columns of uniqueRules[entity.name] ?? [['id']]) {
      const taken = others.some((other) => columns.every((column) => other[column] === row[column]))
      const [column = 'id'] = columns
      const value = row[column] ?? null
      if (!taken || (columns.length === 1 && value === null)) continue
      if (columns.length > 1) throw new AlreadyExists('already exists', undefined, null, undefined)
      throw new AlreadyExists(`already exists with value '${value}'`, column, value, undefined)
    }
    for (const [column, { references }] of Object.entries(entity.fields)) {
      const value = row[column] ?? null
      if (!references || value === null || this.#tables.get(references)?.has(String(value))) continue
      throw new DoesNotExist(`does not exist with value '${value}'`, column, value, undefined)
    }
  }
}

function completed(entity: Entity, row: Row): Row {
  const columns = Object.entries(entity.fields).map(([column, { default: given }]) => {
    const absent: Json = typeof given === 'function' || given === undefined ? null : given
    return [column, row[column] ?? absent]
  })
  return Object.freeze(Object.fromEntries(columns))
}
