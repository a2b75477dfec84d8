import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { loadSql } from '../sql.ts'

export const migrations: Readonly<Record<string, Migration>> = {
  '0001_credentials': {
    async up(db: Kysely<unknown>) {
      const sql = await loadSql()
      await sql`
        create table keyauth_credentials (
          id uuid primary key default gen_random_uuid(),
          created_at bigint not null default created_now(),
          consumer_id uuid not null
            constraint keyauth_credentials_consumer_id_fkey references consumers on delete cascade,
          key text not null constraint keyauth_credentials_key_key unique
        )`.execute(db)
      await sql`create index keyauth_credentials_consumer_id on keyauth_credentials (consumer_id)`.execute(db)
      await sql`select log_changes('keyauth_credentials'::regclass)`.execute(db)
    },
    async down(db: Kysely<unknown>) {
      const sql = await loadSql()
      await sql`drop table keyauth_credentials`.execute(db)
    },
  },
}
