// The log: every change of an entity table is an event with a dense position, in commit order, on a chain of
// digests. docs/architecture.md says why it is made this way and not another.
import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const schema = (await sql<{ name: string }>`select current_schema() as name`.execute(db)).rows[0]?.name
  if (!schema) throw new Error('the database has no schema to create tables in: set search_path')

  await sql`
    create table events (
      position bigint primary key,
      first bigint not null check (first <= position),
      digest bytea not null,
      at timestamptz not null,
      body text not null
    )`.execute(db)

  await sql`
    create function event_digest(previous bytea, "position" bigint, body text) returns bytea
    language sql immutable parallel safe
    return sha256(previous || int8send("position") || convert_to(body, 'UTF8'))`.execute(db)

  // Position 0 names the cluster, so two datastores never share a history.
  await sql`
    with genesis as (
      select jsonb_build_object('entity', 'log', 'operation', 'genesis', 'cluster', gen_random_uuid(),
        'schema', 1, 'at', (extract(epoch from now()) * 1000)::bigint)::text as body
    )
    insert into events (position, first, digest, at, body)
    select 0, 0, event_digest('', 0, body), now(), body from genesis`.execute(db)

  // The lock is taken in a statement of its own: in READ COMMITTED the next statement then has a snapshot that
  // holds everything committed by whoever had the lock before. It is released after the commit is visible.
  // troop.transaction remembers, within one transaction (savepoints included), that the lock is ours already.
  const path = sql.id(schema)
  const lock = sql.lit(`troop:${schema}`)
  const channel = sql.lit(`troop_${schema}`)
  await sql`
    create function append_event(entity text, operation text, old jsonb, new jsonb, version int) returns bigint
    language plpgsql volatile
    set search_path = ${path}, pg_temp
    as $append$
    declare
      own constant text := pg_current_xact_id()::text;
      mark constant text[] := string_to_array(current_setting('troop.transaction', true), ':');
      start bigint := case when mark[1] = own then mark[2]::bigint end;
      head record;
      body text;
      stamp constant timestamptz := clock_timestamp();
    begin
      if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'a change of % needs isolation level READ COMMITTED, this transaction is %',
          entity, upper(current_setting('transaction_isolation'))
          using errcode = 'invalid_transaction_state',
          hint = 'begin the transaction with: begin isolation level read committed';
      end if;
      if start is null then
        perform pg_advisory_xact_lock(hashtextextended(${lock}, 0));
      end if;
      select e.position, e.digest into head from events e order by e.position desc limit 1;
      if not found then
        raise exception 'the log is empty: not even its genesis event is left'
          using errcode = 'object_not_in_prerequisite_state', hint = 'restore the table events from a backup';
      end if;
      if start is null then
        start := head.position + 1;
        perform set_config('troop.transaction', own || ':' || start, true);
        perform pg_notify(${channel}, start::text);
      end if;
      body := jsonb_build_object('entity', entity, 'operation', operation, 'old', old, 'new', new,
        'actor', nullif(current_setting('troop.actor', true), ''), 'schema', version,
        'at', (extract(epoch from stamp) * 1000)::bigint)::text;
      insert into events (position, first, digest, at, body)
      values (head.position + 1, start, event_digest(head.digest, head.position + 1, body), stamp, body);
      return head.position + 1;
    end $append$`.execute(db)

  // Images must not depend on who writes: to_jsonb prints times in the session's time zone.
  await sql`
    create function log_change() returns trigger
    language plpgsql volatile
    set search_path = ${path}, pg_temp set timezone = 'UTC'
    as $change$
    begin
      perform append_event(tg_table_name, case tg_op when 'INSERT' then 'create' else lower(tg_op) end,
        case when tg_op <> 'INSERT' then to_jsonb(old) end,
        case when tg_op <> 'DELETE' then to_jsonb(new) end,
        tg_argv[0]::int);
      return null;
    end $change$`.execute(db)

  await sql`
    create function refuse_statement() returns trigger
    language plpgsql
    as $refuse$
    begin
      raise exception '% is not allowed on %: the log would miss it', tg_op, tg_table_name
        using errcode = 'feature_not_supported',
        hint = case tg_op when 'TRUNCATE' then format('delete from %I', tg_table_name)
            else 'what is in the log has happened: make another change that undoes it' end;
    end $refuse$`.execute(db)

  // The one call by which a migration puts a table under the log. Call it again with a higher version when the
  // table's shape changes: nodes that do not know the version drop entries instead of replacing them. With `columns`, an update that sets
  // none of them makes no event.
  await sql`
    create function log_changes(target regclass, version int default 1, columns text[] default null) returns void
    language plpgsql
    set search_path = ${path}, pg_temp
    as $log$
    begin
      execute format('drop trigger if exists log_change on %s', target);
      execute format('drop trigger if exists refuse_truncate on %s', target);
      execute format('create constraint trigger log_change after insert or update %s or delete on %s
        deferrable initially deferred for each row execute function log_change(%L)',
        (select 'of ' || string_agg(quote_ident(name), ', ') from unnest(columns) name), target, version);
      execute format('create trigger refuse_truncate before truncate on %s
        for each statement execute function refuse_statement()', target);
      execute format('alter table %s enable always trigger log_change', target);
      execute format('alter table %s enable always trigger refuse_truncate', target);
    end $log$`.execute(db)

  await sql`
    create trigger refuse_change before update or truncate on events
    for each statement execute function refuse_statement()`.execute(db)
  await sql`alter table events enable always trigger refuse_change`.execute(db)

  // Old events may go, oldest first; a hole or a lost head would make nodes disagree about what happened.
  await sql`
    create function refuse_hole() returns trigger
    language plpgsql
    set search_path = ${path}, pg_temp
    as $hole$
    begin
      if (select max(position) >= (select coalesce(min(e.position), 0) from events e) from gone) then
        raise exception 'only the oldest events may be deleted, and never the newest one'
          using errcode = 'feature_not_supported';
      end if;
      return null;
    end $hole$`.execute(db)
  await sql`
    create trigger refuse_hole after delete on events referencing old table as gone
    for each statement execute function refuse_hole()`.execute(db)
  await sql`alter table events enable always trigger refuse_hole`.execute(db)
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`drop table events`.execute(db)
  await sql`drop function log_changes(regclass, int, text[]), log_change(), refuse_statement(), refuse_hole(),
    append_event(text, text, jsonb, jsonb, int), event_digest(bytea, bigint, text)`.execute(db)
}
