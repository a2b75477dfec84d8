import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { loadSql } from '../sql.ts'

export const migrations: Readonly<Record<string, Migration>> = {
  '0001_credentials': {
    async up(db: Kysely<unknown>) {
      await createCredentials(db)
      await createCodes(db)
      await createTokens(db)
    },
    async down(db: Kysely<unknown>) {
      const sql = await loadSql()
      for (const table of ['oauth2_tokens', 'oauth2_authorization_codes', 'oauth2_credentials']) {
        await sql`drop table ${sql.id(table)}`.execute(db)
      }
    },
  },
}

async function createCredentials(db: Kysely<unknown>): Promise<void> {
  const sql = await loadSql()
  await sql`
    create table oauth2_credentials (
      id uuid primary key default gen_random_uuid(),
      created_at bigint not null default created_now(),
      consumer_id uuid not null
        constraint oauth2_credentials_consumer_id_fkey references consumers on delete cascade,
      name text not null,
      client_id text not null constraint oauth2_credentials_client_id_key unique,
      client_secret text not null constraint oauth2_credentials_client_secret_key unique,
      redirect_uri text[] not null
    )`.execute(db)
  await sql`create index oauth2_credentials_consumer_id on oauth2_credentials (consumer_id)`.execute(db)
  await sql`select log_changes('oauth2_credentials'::regclass)`.execute(db)
}

/** Nobody caches these. Their end is told by the server's clock, which also says when it has come. */
async function createCodes(db: Kysely<unknown>): Promise<void> {
  const sql = await loadSql()
  await sql`
    create table oauth2_authorization_codes (
      id uuid primary key default gen_random_uuid(),
      created_at bigint not null default created_now(),
      code text not null constraint oauth2_authorization_codes_code_key unique,
      credential_id uuid not null
        constraint oauth2_authorization_codes_credential_id_fkey references oauth2_credentials on delete cascade,
      api_id uuid constraint oauth2_authorization_codes_api_id_fkey references apis on delete cascade,
      redirect_uri text not null,
      authenticated_userid text,
      scope text,
      expires_at timestamptz not null default clock_timestamp() + interval '300 seconds'
    )`.execute(db)
  for (const column of ['credential_id', 'api_id', 'expires_at']) {
    await index(db, 'oauth2_authorization_codes', column)
  }
}

async function createTokens(db: Kysely<unknown>): Promise<void> {
  const sql = await loadSql()
  await sql`
    create table oauth2_tokens (
      id uuid primary key default gen_random_uuid(),
      created_at bigint not null default created_now(),
      credential_id uuid not null
        constraint oauth2_tokens_credential_id_fkey references oauth2_credentials on delete cascade,
      token_type text not null default 'bearer',
      expires_in double precision not null,
      access_token text not null constraint oauth2_tokens_access_token_key unique,
      refresh_token text constraint oauth2_tokens_refresh_token_key unique,
      authenticated_userid text,
      scope text,
      api_id uuid constraint oauth2_tokens_api_id_fkey references apis on delete cascade,
      expires_at bigint
    )`.execute(db)
  for (const column of ['credential_id', 'api_id', 'expires_at']) await index(db, 'oauth2_tokens', column)
  await sql`select log_changes('oauth2_tokens'::regclass)`.execute(db)
}

/** For what goes with another row, and for what is over. */
async function index(db: Kysely<unknown>, table: string, column: string): Promise<void> {
  const sql = await loadSql()
  const name = sql.id(`${table}_${column}`)
  await sql`create index ${name} on ${sql.id(table)} (${sql.id(column)})`.execute(db)
}
