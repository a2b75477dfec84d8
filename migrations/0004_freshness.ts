// For how long a node may go on serving what it knows after it last knew that it had everything. Who writes must wait
// for that long after a node was forced out, unless it hears from it: it may be there and cut off.
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  // refuses_after_ms, null: it has no such bound, and serves for as long as it runs. forced_at is set by a forced leave,
  // rejoined_at when the node, called failed by another, was back.
  await sql`
    alter table nodes
      add column refuses_after_ms bigint check (refuses_after_ms > 0),
      add column forced_at timestamptz,
      add column rejoined_at timestamptz`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`alter table nodes drop column refuses_after_ms, drop column forced_at, drop column rejoined_at`.execute(
    db,
  )
}
