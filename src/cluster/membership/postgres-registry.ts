// The nodes as they lie in Postgres (migrations/0003_nodes.ts).
import { sql } from 'kysely'
import type { Position, Stamp } from '../../base/stamp.ts'
import type { Database } from '../../database/database.ts'
import { DatastoreError } from '../../database/errors.ts'
import type { Beat, Holding, NodeIdentity, RegisteredNode, Registry } from './registry.ts'

/** Recorded in the events of nodes that come and go. */
const actor = 'cluster'

export class PostgresRegistry implements Registry {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async find(name: string): Promise<RegisteredNode | undefined> {
    const query = sql<RegisteredNode>`${select} where name = ${name}`
    return (await query.execute(this.#database.primary)).rows[0]
  }

  async register(node: NodeIdentity, replaced: Position | undefined): Promise<Position | undefined> {
    const { name, address, ttlSeconds, version, refusesAfterMs } = node
    const { value, stamp } = await this.#database.transaction(
      (trx) =>
        sql`
          insert into nodes
            (name, cluster_listening_address, status, ttl_on_failure, version, refuses_after_ms)
          values (${name}, ${address}, 'alive', ${ttlSeconds}, ${version}, ${refusesAfterMs})
          on conflict (name) do update set
            cluster_listening_address = excluded.cluster_listening_address, status = 'alive', life = null,
            applied = null, last_seen = clock_timestamp(), ttl_on_failure = excluded.ttl_on_failure,
            version = excluded.version, refuses_after_ms = excluded.refuses_after_ms, forced_at = null,
            rejoined_at = null
          where nodes.life = ${replaced ?? null}`.execute(trx),
      { actor },
    )
    // One row, one event: the newest of the transaction is the registration.
    return value.numAffectedRows === 1n ? stamp.position : undefined
  }

  async restore(node: NodeIdentity, life: Position): Promise<boolean> {
    const { name, address, ttlSeconds, version, refusesAfterMs } = node
    const { value } = await this.#database.transaction(
      (trx) =>
        sql`
          insert into nodes
            (name, cluster_listening_address, status, life, ttl_on_failure, version, refuses_after_ms)
          values (${name}, ${address}, 'alive', ${life}, ${ttlSeconds}, ${version}, ${refusesAfterMs})
          on conflict (name) do nothing`.execute(trx),
      { actor },
    )
    return value.numAffectedRows === 1n
  }

  async rejoin(name: string, life: Position, intervalMs: number): Promise<void> {
    await this.#database.transaction(
      (trx) =>
        sql`
          update nodes set status = 'alive', rejoined_at = clock_timestamp()
          where name = ${name} and life = ${life} and status = 'alive'
            and coalesce(rejoined_at < clock_timestamp() - ${intervalMs} * interval '1 ms', true)`.execute(
          trx,
        ),
      { actor },
    )
  }

  async beat(name: string, life: Position, applied: Position): Promise<Beat> {
    // A heartbeat that a crash loses costs nothing, so its commit does not wait for the disk.
    const query = sql<Stamp & Found>`
      with hasty as (select set_config('synchronous_commit', 'off', true)),
      beat as (
        update nodes set last_seen = clock_timestamp(), applied = ${applied} from hasty
        where name = ${name} and life = ${life} and status <> 'left' returning 1
      )
      select head.position, encode(head.digest, 'hex') as digest, exists (select from beat) as beaten,
        node.life, node.status, (extract(epoch from clock_timestamp()) * 1000)::float8 as now
      from (select position, digest from events order by position desc limit 1) head
      left join nodes node on node.name = ${name}`
    const [row] = (await query.execute(this.#database.primary)).rows
    if (!row) throw new DatastoreError('the log is empty: not even its genesis event is left')
    const { position, digest, now } = row
    return { head: { position, digest }, holding: holdingOf(row, life), now }
  }

  async leave(name: string, life: Position, status: 'leaving' | 'left'): Promise<void> {
    await this.#database.transaction(
      (trx) =>
        sql`
          update nodes set status = ${status}, last_seen = clock_timestamp()
          where name = ${name} and life = ${life} and status <> 'left'`.execute(trx),
      { actor },
    )
  }

  async forceLeave(name: string): Promise<boolean> {
    const { value } = await this.#database.transaction(
      async (trx) => {
        const { rows } = await sql`select from nodes where name = ${name} for update`.execute(trx)
        await sql`
          update nodes set status = 'left', forced_at = clock_timestamp()
          where name = ${name} and status <> 'left'`.execute(trx)
        return rows.length > 0
      },
      { actor },
    )
    return value
  }

  async credentials(offered: string): Promise<{ readonly id: string; readonly secret: string }> {
    const { primary } = this.#database
    await sql`
      insert into cluster (id, secret)
      select coalesce((select body::jsonb ->> 'cluster' from events where position = 0), gen_random_uuid()::text), ${offered}
      on conflict do nothing`.execute(primary)
    const query = sql<{ id: string; secret: string }>`select id, secret from cluster`
    const [row] = (await query.execute(primary)).rows
    if (!row) throw new DatastoreError('the secret of the cluster is gone')
    return row
  }

  async rows(): Promise<readonly RegisteredNode[]> {
    const query = sql<RegisteredNode>`${select} order by life desc nulls last, name`
    return (await query.execute(this.#database.primary)).rows
  }

  async removeExpired(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    await this.#database.transaction(
      (trx) => sql`delete from nodes where name = any(${[...names]}::text[]) and ${expired}`.execute(trx),
      { actor },
    )
  }
}

const expired = sql<boolean>`last_seen < clock_timestamp() - make_interval(secs => ttl_on_failure)`

const select = sql`
  select name, cluster_listening_address as address, status, forced_at is not null as forced, life, applied,
    (extract(epoch from clock_timestamp() - last_seen) * 1000)::bigint as "silentMs",
    ${expired} as expired, version,
    refuses_after_ms as "refusesAfterMs", created_at as "createdAt"
  from nodes`

/** What stands under the name; the row as it was before the heartbeat. */
interface Found {
  readonly now: number
  readonly beaten: boolean
  readonly life: Position | null
  readonly status: string | null
}

function holdingOf({ beaten, life, status }: Found, own: Position): Holding {
  if (beaten) return 'held'
  if (status === null) return 'gone'
  return life === own ? 'forced-out' : 'taken'
}
