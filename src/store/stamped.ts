// Rows and the head of the log from one snapshot, so that the stamp says exactly how new the rows are.
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Row } from '../base/json.ts'
import type { Stamped } from '../base/stamp.ts'
import { DatastoreError } from '../database/errors.ts'
import type { Tables } from '../database/tables.ts'

interface StampedRow {
  readonly position: number
  readonly digest: string
  readonly image: Row | null
}

/**
 * The rows of `table` that match, by creation and id, with the head of the log. One statement has one snapshot; a
 * position asked for in another statement, or by a function that looks past the snapshot, would pass old rows off
 * as new. The head is the outer side of the join, so that there is a stamp also when there is no row.
 *
 * @param where  a condition on `entity`, the table's name in the query
 * @throws {DatastoreAway} or {DatastoreError}
 */
export async function readStamped(
  db: Kysely<Tables>,
  table: string,
  where: RawBuilder<unknown>,
): Promise<Stamped<readonly Row[]>> {
  const query = sql<StampedRow>`
    select head.position, encode(head.digest, 'hex') as digest, found.image
    from (select position, digest from events order by position desc limit 1) head
    left join (
      select to_jsonb(entity) as image, entity.created_at, entity.id from ${sql.table(table)} entity where ${where}
    ) found on true
    order by found.created_at, found.id`
  const { rows } = await query.execute(db)
  const head = rows[0]
  if (!head) throw new DatastoreError('the log is empty: not even its genesis event is left')
  return {
    value: rows.flatMap(({ image }) => (image === null ? [] : [image])),
    stamp: { position: head.position, digest: head.digest },
  }
}
