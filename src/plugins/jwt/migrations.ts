import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { loadSql } from '../sql.ts'

export const migrations: Readonly<Record<string, Migration>> = {
  '0001_secrets': {
    async up(db: Kysely<unknown>) {
      const sql = await loadSql()
      await sql`
        create table jwt_secrets (
          id uuid primary key default gen_random_uuid(),
          created_at bigint not null default created_now(),
          consumer_id uuid not null
            constraint jwt_secrets_consumer_id_fkey references consumers on delete cascade,
          key text not null constraint jwt_secrets_key_key unique,
          secret text not null constraint jwt_secrets_secret_key unique,
          algorithm text not null default 'HS256',
          rsa_public_key text
        )`.execute(db)
      await sql`create index jwt_secrets_consumer_id on jwt_secrets (consumer_id)`.execute(db)
      await sql`select log_changes('jwt_secrets'::regclass)`.execute(db)
    },
    async down(db: Kysely<unknown>) {
      const sql = await loadSql()
      await sql`drop table jwt_secrets`.execute(db)
    },
  },
}
