// Plugins for all APIs have no api_id. That each is configured once for an API, a consumer, both or neither says
// plugins_once already: its nulls are equal.
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table plugins alter column api_id drop not null`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`delete from plugins where api_id is null`.execute(db)
  // What the deletion has to tell the log is told at the end, and until then the table can't be changed.
  await sql`set constraints all immediate`.execute(db)
  await sql`alter table plugins alter column api_id set not null`.execute(db)
}
