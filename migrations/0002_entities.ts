// What the gateway is told. Every rule that must hold for whoever writes is a constraint here; times are
// milliseconds, so that a row's image is what the Admin API shows.
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function created_now() returns bigint
    language sql volatile
    return extract(epoch from date_trunc('second', clock_timestamp()))::bigint * 1000`.execute(db)

  await sql`
    create table apis (
      id uuid primary key default gen_random_uuid(),
      created_at bigint not null default created_now(),
      name text constraint apis_name_key unique,
      request_host text,
      request_path text constraint apis_request_path_key unique,
      strip_request_path boolean not null default false,
      upstream_url text not null,
      preserve_host boolean not null default false,
      constraint apis_host_or_path check (request_host is not null or request_path is not null)
    )`.execute(db)
  // Host names are compared without regard to case (RFC 9110, 4.2.3).
  await sql`create unique index apis_request_host_key on apis (lower(request_host))`.execute(db)

  await sql`
    create table consumers (
      id uuid primary key default gen_random_uuid(),
      created_at bigint not null default created_now(),
      username text constraint consumers_username_key unique,
      custom_id text constraint consumers_custom_id_key unique,
      constraint consumers_named check (username is not null or custom_id is not null)
    )`.execute(db)

  await sql`
    create table plugins (
      id uuid primary key default gen_random_uuid(),
      created_at bigint not null default created_now(),
      name text not null,
      api_id uuid not null constraint plugins_api_id_fkey references apis on delete cascade,
      consumer_id uuid constraint plugins_consumer_id_fkey references consumers on delete cascade,
      config jsonb not null default '{}' check (jsonb_typeof(config) = 'object'),
      enabled boolean not null default true,
      constraint plugins_once unique nulls not distinct (api_id, name, consumer_id)
    )`.execute(db)
  await sql`create index plugins_consumer_id on plugins (consumer_id)`.execute(db)

  for (const table of ['apis', 'consumers', 'plugins'])
    await sql`select log_changes(${table}::regclass)`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table plugins, consumers, apis`.execute(db)
  await sql`drop function created_now()`.execute(db)
}
