// Rows whose time is over, as a condition on their table.
import { type RawBuilder, sql } from 'kysely'
import type { Entity } from '../entities/define.ts'

/**
 * Whether a row of `entity` is over, by the server's clock; unknown (null) for one without an end. Rows that are shown
 * tell times in milliseconds, as numbers; those that are not logged have a `timestamptz`. The time of the statement is
 * the same for all its rows, and so an index can be used.
 *
 * @param table  its name in the query, if that has several
 */
export function isOver({ expires, logged }: Entity, table?: string): RawBuilder<boolean | null> {
  if (expires === undefined) return sql<null>`null::boolean`
  const now =
    logged === false
      ? sql`statement_timestamp()`
      : sql`(extract(epoch from statement_timestamp()) * 1000)::bigint`
  return sql<boolean | null>`${sql.ref(table ? `${table}.${expires}` : expires)} < ${now}`
}
