// The table in which a plugin counts for all nodes (`Counters.cluster` in plugin.ts), with the function that counts.
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { defineEntity, type Entity } from '../entities/define.ts'
import { loadSql } from './sql.ts'

export interface CounterTable {
  /** For the plugin's `entities`: it is counted in `/status`, and its rows are removed when they are over. */
  readonly entity: Entity
  /** For the plugin's `migrations`. It has run where it has run: another form needs another migration. */
  readonly migration: Migration
}

/** @param name  lower-case letters and `_`, and nobody else's */
export function counterTable(name: string): CounterTable {
  const entity = defineEntity({
    name,
    fields: {
      api_id: { type: 'id' },
      identifier: { type: 'string', help: 'whose requests are counted' },
      windows: { type: 'array', help: 'when the last window of each period began, short periods first' },
      used: { type: 'array', help: 'what was counted in each' },
      expires_at: { type: 'timestamp', help: 'when the window of the longest limit is over' },
    },
    lookups: [],
    logged: false,
    expires: 'expires_at',
  })
  const migration: Migration = {
    async up(db: Kysely<unknown>) {
      await createTable(db, name)
      await createFunction(db, name)
    },
    async down(db: Kysely<unknown>) {
      const sql = await loadSql()
      await sql`drop function ${sql.id(`count_${name}`)}(jsonb)`.execute(db)
      await sql`drop table ${sql.id(name)}`.execute(db)
    },
  }
  return { entity, migration }
}

/**
 * One row has the windows of all periods, so that they are checked and counted under one lock. Rows are updated all
 * the time and in place: the room left in each page keeps these updates out of the indexes. There is no reference to
 * `apis`: a request that is still counted while its API is deleted must not spoil the batch that it is in.
 */
async function createTable(db: Kysely<unknown>, name: string): Promise<void> {
  const sql = await loadSql()
  const table = sql.id(name)
  await sql`
    create table ${table} (
      api_id uuid not null,
      identifier text not null,
      windows timestamptz[] not null,
      used bigint[] not null,
      expires_at timestamptz not null,
      primary key (api_id, identifier)
    ) with (fillfactor = 50)`.execute(db)
  await sql`create index ${sql.id(`${name}_expires_at`)} on ${table} (expires_at)`.execute(db)
}

/**
 * `count_<table>(asks)`: asks for many counters at once, `[{api, identifier, limits, wanted, forced}]` with a limit or
 * null for each period, short ones first. Of each, `forced` requests are counted whatever the limits say, and then as
 * many of `wanted` as they allow. Answers in the order of locking, with each ask's place in the list, from 0.
 *
 * Each row is locked before it is looked at and before the clock is read, so that nodes neither overtake each other nor
 * take each other's windows back; and rows are locked in one order, so that batches never wait for each other in a
 * ring. The windows are those of the server's clock: that of a node may be wrong. A crash of the server may lose the
 * counts of its last moments, since no commit waits for the disk.
 */
async function createFunction(db: Kysely<unknown>, name: string): Promise<void> {
  const sql = await loadSql()
  const table = sql.id(name)
  const schema = (await sql<{ name: string }>`select current_schema() as name`.execute(db)).rows[0]?.name
  await sql`
    create function ${sql.id(`count_${name}`)}(asks jsonb)
    returns table (place int, granted float8, used_now float8[], left_ms float8[])
    language plpgsql volatile
    set search_path = ${sql.id(schema ?? 'public')}, pg_temp
    set timezone = 'UTC'
    as $count$
    declare
      periods constant text[] := '{second,minute,hour,day,month,year}';
      ask record;
      held ${table};
      at timestamptz;
      -- Of the current windows; null before the first ask.
      begins timestamptz[];
      ends timestamptz[];
    begin
      perform set_config('synchronous_commit', 'off', true);
      for ask in
        select (element.place - 1)::int as place, body.*
        from jsonb_array_elements(asks) with ordinality as element (body, place),
          jsonb_to_record(element.body)
            as body (api uuid, identifier text, limits float8[], wanted float8, forced float8)
        order by body.api, body.identifier, element.place
      loop
        loop
          select * into held from ${table} counter
          where counter.api_id = ask.api and counter.identifier = ask.identifier for update;
          exit when found;
          insert into ${table} (api_id, identifier, windows, used, expires_at)
          values (ask.api, ask.identifier, '{}', '{0,0,0,0,0,0}', now()) on conflict do nothing;
        end loop;
        at := clock_timestamp();
        if (at >= begins[1] and at < ends[1]) is not true then
          select array_agg(date_trunc(period, at) order by rank),
            array_agg(date_trunc(period, at) + ('1 ' || period)::interval order by rank)
          into begins, ends from unnest(periods) with ordinality as listed (period, rank);
        end if;
        granted := ask.wanted;
        for i in 1 .. 6 loop
          if held.windows[i] is distinct from begins[i] then held.used[i] := 0; end if;
          held.used[i] := held.used[i] + ask.forced;
          left_ms[i] := extract(epoch from ends[i] - at) * 1000;
          continue when ask.limits[i] is null;
          granted := least(granted, greatest(0, ceil(ask.limits[i] - held.used[i])));
          held.expires_at := ends[i];
        end loop;
        for i in 1 .. 6 loop held.used[i] := held.used[i] + granted; end loop;
        place := ask.place;
        used_now := held.used;
        return next;
        continue when granted + ask.forced = 0;
        update ${table} counter set windows = begins, used = held.used, expires_at = held.expires_at
        where counter.api_id = ask.api and counter.identifier = ask.identifier;
      end loop;
    end $count$`.execute(db)
}
