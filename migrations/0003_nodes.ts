// The nodes of the cluster. A node that registers, leaves, is forced out or expires is an event; that it is still
// there is not: heartbeats set none of the columns that the log watches.
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table nodes (
      name text primary key,
      cluster_listening_address text not null,
      status text not null check (status in ('alive', 'leaving', 'left')),
      life bigint,
      applied bigint,
      last_seen timestamptz not null default clock_timestamp(),
      ttl_on_failure int not null check (ttl_on_failure >= 60),
      version text not null,
      created_at bigint not null default created_now()
    )`.execute(db)
  await sql`select log_changes('nodes'::regclass, columns => array['name', 'cluster_listening_address', 'status'])`.execute(
    db,
  )

  // What nodes prove to each other that they are of this cluster, when the configuration gives no key. No node caches
  // it and no event shows it.
  await sql`
    create table cluster (one boolean primary key default true check (one), id text not null, secret text not null)`.execute(
    db,
  )

  // A node's life is the position of its registration, which is known when the registration commits and not before.
  // This fires after log_change, by its name; the row is locked by the registration already, and `life` is not
  // watched, so nothing new is locked or logged.
  const schema = (await sql<{ name: string }>`select current_schema() as name`.execute(db)).rows[0]?.name
  if (!schema) throw new Error('the database has no schema to create tables in: set search_path')
  await sql`
    create function log_change_life() returns trigger
    language plpgsql volatile
    set search_path = ${sql.id(schema)}, pg_temp
    as $life$
    begin
      update nodes set life = (select max(position) from events) where name = new.name and life is null;
      return null;
    end $life$`.execute(db)
  await sql`
    create constraint trigger log_change_life after insert or update of status on nodes
    deferrable initially deferred for each row when (new.life is null) execute function log_change_life()`.execute(
    db,
  )
  await sql`alter table nodes enable always trigger log_change_life`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table nodes, cluster`.execute(db)
  await sql`drop function log_change_life()`.execute(db)
}
