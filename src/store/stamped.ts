// Rows and the head of the log from one snapshot, so that the stamp says exactly how new the rows are.
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Row } from '../base/json.ts'
import type { Stamped } from '../base/stamp.ts'
import { DatastoreError } from '../database/errors.ts'
import type { Tables } from '../database/tables.ts'
import type { KeyPage } from './store.ts'

interface StampedRow {
  readonly position: number
  readonly digest: string
  readonly image: Row | null
}

/**
 * The rows of `table` that match, by creation and id, with the head of the log. See `withHead`.
 *
 * @param where  a condition on `entity`, the table's name in the query
 * @throws {DatastoreAway} or {DatastoreError}
 */
export function readStamped(
  db: Kysely<Tables>,
  table: string,
  where: RawBuilder<unknown>,
): Promise<Stamped<readonly Row[]>> {
  return readSorted(db, selectImages(table, where), sql`found.created_at, found.id`)
}

/**
 * A page of the rows of `table` by id, with the head of the log: those after the id `after`, as images that have these
 * columns alone. See `withHead`.
 *
 * @throws {DatastoreAway} or {DatastoreError}
 */
export function readPageStamped(
  db: Kysely<Tables>,
  table: string,
  { columns, after, size }: KeyPage,
): Promise<Stamped<readonly Row[]>> {
  const parts = columns.map((column) => sql`${sql.lit(column)}, ${sql.ref(`entity.${column}`)}`)
  const found = sql`
    select jsonb_build_object(${sql.join(parts)}) as image, entity.id from ${sql.table(table)} entity
    where ${after === null ? sql`true` : sql`entity.id > ${after}`} order by entity.id limit ${size}`
  return readSorted(db, found, sql`found.id`)
}

/**
 * Rows that are read at once where all are: parsing them, and taking them in wherever they are held, takes a thread a few
 * milliseconds. More at once make a load faster, and each thread stand still for longer.
 */
const scanRows = 200

/**
 * All rows of `table`, in no order, with the head of the log. See `withHead`: a cursor has one snapshot, however often it
 * is asked. To sort a big table first could take longer than a statement may.
 *
 * @param trx   a transaction: a cursor lasts as long
 * @param take  called with `scanRows` of them at a time
 * @returns     how many there were
 * @throws {DatastoreAway} or {DatastoreError}
 */
export async function scanStamped(
  trx: Kysely<Tables>,
  table: string,
  take: (rows: readonly Row[]) => void,
): Promise<Stamped<number>> {
  const all = withHead(selectImages(table, sql`true`))
  await sql`declare scanned no scroll cursor for ${all}`.execute(trx)
  const fetch = sql<StampedRow>`fetch ${sql.lit(scanRows)} from scanned`
  const stamped = stampedRows((await fetch.execute(trx)).rows)
  let page = stamped.value
  let count = 0
  while (page.length > 0) {
    take(page)
    count += page.length
    page = imagesOf((await fetch.execute(trx)).rows)
  }
  return { value: count, stamp: stamped.stamp }
}

/**
 * What `found` selects as `image`, with the head of the log. One statement has one snapshot; a position asked for in
 * another statement, or by a function that looks past the snapshot, would pass old rows off as new. The head is the
 * outer side of the join, so that there is a stamp also when there is no row.
 */
function withHead(found: RawBuilder<unknown>): RawBuilder<StampedRow> {
  return sql<StampedRow>`
    select head.position, encode(head.digest, 'hex') as digest, found.image
    from (select position, digest from events order by position desc limit 1) head
    left join (${found}) found on true`
}

async function readSorted(
  db: Kysely<Tables>,
  found: RawBuilder<unknown>,
  order: RawBuilder<unknown>,
): Promise<Stamped<readonly Row[]>> {
  const query = sql<StampedRow>`${withHead(found)} order by ${order}`
  return stampedRows((await query.execute(db)).rows)
}

function selectImages(table: string, where: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    select to_jsonb(entity) as image, entity.created_at, entity.id from ${sql.table(table)} entity where ${where}`
}

function stampedRows(rows: readonly StampedRow[]): Stamped<readonly Row[]> {
  const head = rows[0]
  if (!head) throw new DatastoreError('the log is empty: not even its genesis event is left')
  return { value: imagesOf(rows), stamp: { position: head.position, digest: head.digest } }
}

function imagesOf(rows: readonly StampedRow[]): readonly Row[] {
  return rows.flatMap(({ image }) => (image === null ? [] : [image]))
}
