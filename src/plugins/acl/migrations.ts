import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { loadSql } from '../sql.ts'

export const migrations: Readonly<Record<string, Migration>> = {
  '0001_groups': {
    async up(db: Kysely<unknown>) {
      const sql = await loadSql()
      // The index of the constraint finds a consumer's groups, too.
      await sql`
        create table acls (
          id uuid primary key default gen_random_uuid(),
          created_at bigint not null default created_now(),
          consumer_id uuid not null
            constraint acls_consumer_id_fkey references consumers on delete cascade,
          "group" text not null,
          constraint acls_consumer_group unique (consumer_id, "group")
        )`.execute(db)
      await sql`select log_changes('acls'::regclass)`.execute(db)
    },
    async down(db: Kysely<unknown>) {
      const sql = await loadSql()
      await sql`drop table acls`.execute(db)
    },
  },
}
