// The pipe to Postgres: pooled queries, transactions that learn their place in the log, and the settings of a
// connection for those who need one of their own.
import type { ConnectionOptions } from 'node:tls'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Logger } from '../base/logger.ts'
import type { Position, Stamp } from '../base/stamp.ts'
import type { Connection } from './connection.ts'
import { ConnectionPool, type PoolUse } from './connection-pool.ts'
import { DatastoreAway, DatastoreError, OutcomeUnknown } from './errors.ts'
import { refusesStatement } from './failure.ts'
import type { Tables } from './tables.ts'
import { TransactionScope } from './transaction-scope.ts'

export interface DatabaseOptions {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password?: string | undefined
  readonly database: string
  /** TLS to the server: false, true (verified against the system's authorities), or node:tls options. Default false. */
  readonly ssl?: boolean | ConnectionOptions | undefined
  /**
   * Connections at the most. Default 10. More lets more fills and writes run at once and takes more of the
   * server's `max_connections`: nodes × (poolSize + 1), and as much again on the replica if there is one.
   */
  readonly poolSize?: number | undefined
  /** How long making a connection, or waiting for a free one, may take. Default 3000. */
  readonly connectTimeoutMs?: number | undefined
  /**
   * How long one statement may take. Default 5000. Higher lets big reads finish on a slow server, and lets a
   * silent server go unnoticed for as long. The server is told the same limit, so that it gives up first.
   */
  readonly queryTimeoutMs?: number | undefined
  /** A replica for stamped reads, as a postgres:// URL; the primary is asked where it is unset. */
  readonly readUrl?: string | undefined
  /** Shown in pg_stat_activity. Default `troop`. */
  readonly applicationName?: string | undefined
}

export interface Committed<T> {
  readonly value: T
  /** The newest event of the transaction; if it made none, the head of the log as it committed. */
  readonly stamp: Stamp
  /**
   * Nodes that were registered then and had not left, and those that were forced out and may serve still: all that
   * must know of it. Read while the log's lock was held, so one that registers later has the change in what it loads.
   */
  readonly nodes: readonly RegisteredLife[]
}

/** A node's registration: its name and the position at which it began. */
export interface RegisteredLife {
  readonly name: string
  readonly life: Position
  /** It was forced out, and after this many ms it serves nothing any more even if it has not heard of that; else null. */
  readonly lapsesMs: number | null
  /** It was silent for longer than its row lives, by the database's clock: it is gone, or the database was. */
  readonly expired: boolean
}

/** How much longer than the server we wait for an answer, so that its own timeout can reach us. */
const answerGraceMs = 1000

export class Database {
  /** Single statements on the primary. Errors are {DatastoreAway} or {DatastoreError}. */
  readonly primary: Kysely<Tables>
  /** Single statements that may lag behind; the same as `primary` without a replica. */
  readonly replica: Kysely<Tables>
  readonly #options: DatabaseOptions
  readonly #pool: ConnectionPool
  readonly #replicaPool: ConnectionPool

  constructor(options: DatabaseOptions, { logger }: { readonly logger: Logger }) {
    this.#options = options
    const max = options.poolSize ?? 10
    this.#pool = new ConnectionPool({ ...clientConfig(options), max }, logger)
    this.#replicaPool = options.readUrl
      ? new ConnectionPool({ ...replicaConfig(options, options.readUrl), max }, logger)
      : this.#pool
    this.primary = over(this.#pool)
    this.replica = options.readUrl ? over(this.#replicaPool) : this.primary
  }

  /** How the pools are used, by what they lead to; one of a replica is there only with a replica. */
  pools(): Readonly<Record<string, PoolUse>> {
    const primary = this.#pool.use
    return this.#replicaPool === this.#pool ? { primary } : { primary, replica: this.#replicaPool.use }
  }

  /** Settings for a connection to the primary outside the pool, e.g. one that listens. */
  clientConfig(applicationName: string): pg.ClientConfig {
    return clientConfig({ ...this.#options, applicationName })
  }

  /**
   * Runs `work` in one transaction and answers with its place in the log. What `work` throws undoes all.
   *
   * The triggers that append to the log take its lock when constraints are made immediate. That, the reading of
   * the position and the commit travel as one message, so that a node that is paused or cut off between them
   * can't sit on the lock.
   *
   * @param work   statements on the handle that it is given, which is dead once `work` is done
   * @param actor  who is recorded in the events, or null
   * @throws {DatastoreAway} when the connection failed before the commit was sent: nothing happened
   * @throws {DatastoreError} when a statement or the commit was refused: nothing happened
   * @throws {OutcomeUnknown} when the answer to the commit was lost, or was that server or session end
   */
  async transaction<T>(
    work: (trx: Kysely<Tables>) => Promise<T>,
    { actor }: { readonly actor: string | null },
  ): Promise<Committed<T>> {
    const connection = await this.#pool.connect()
    try {
      await connection.query(
        `begin isolation level read committed; set local troop.actor = ${literal(actor ?? '')}`,
      )
      const scope = new TransactionScope(connection)
      const value = await scope.run(() => work(over(scope)))
      return { value, ...(await commit(connection)) }
    } catch (error) {
      await rollback(connection)
      throw error
    } finally {
      connection.release()
    }
  }

  /**
   * Runs `work`, which only reads, on one connection in one transaction: a cursor that it declares lasts as long.
   *
   * @throws {DatastoreAway} or {DatastoreError}
   */
  async reading<T>(work: (trx: Kysely<Tables>) => Promise<T>): Promise<T> {
    const connection = await this.#pool.connect()
    try {
      await connection.query('begin isolation level read committed read only')
      const scope = new TransactionScope(connection)
      return await scope.run(() => work(over(scope)))
    } finally {
      await rollback(connection)
      connection.release()
    }
  }

  /** Closes all connections once they are given back; later queries fail with {DatastoreError}. */
  async stop(): Promise<void> {
    await Promise.all([this.#pool.end(), this.#replicaPool.end()])
  }
}

/** The settings of a connection to the primary. */
export function clientConfig(options: DatabaseOptions): pg.ClientConfig {
  const { host, port, user, password, database } = options
  return { host, port, user, password, database, ssl: options.ssl ?? false, ...sessionConfig(options) }
}

function replicaConfig(options: DatabaseOptions, url: string): pg.ClientConfig {
  const ssl = options.ssl === undefined ? {} : { ssl: options.ssl }
  return { connectionString: url, ...ssl, ...sessionConfig(options) }
}

function sessionConfig(options: DatabaseOptions): pg.ClientConfig {
  const { connectTimeoutMs = 3000, queryTimeoutMs = 5000, applicationName = 'troop' } = options
  return {
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs + answerGraceMs,
    statement_timeout: queryTimeoutMs,
    // Under the statement's limit, so that a blocked writer is told that it was a lock.
    lock_timeout: Math.ceil(queryTimeoutMs * 0.8),
    idle_in_transaction_session_timeout: queryTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // The server's end of a dead connection holds its locks until TCP gives up: after 10 + 3 × 5 s instead of
    // two hours. Images are compared with those that the triggers print, so the time zone is theirs.
    options:
      '-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c timezone=UTC',
    types: { getTypeParser },
  }
}

/** Positions, counts and times in milliseconds are 8-byte integers; pg would make strings of them. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return oid === pg.types.builtins.INT8 ? parseInteger : pg.types.getTypeParser(oid, format as 'text')
}

function parseInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value))
    throw new RangeError(`the integer ${text} is beyond what a number holds exactly`)
  return value
}

function over(pool: ConstructorParameters<typeof PostgresDialect>[0]['pool']): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
}

/** Postgres' texts can't hold a zero byte, and one would end the message early. */
function literal(text: string): string {
  return pg.escapeLiteral(text.replaceAll('\0', ''))
}

interface Rows<T> {
  readonly command: string
  readonly rows: readonly T[]
}

async function commit(connection: Connection): Promise<Pick<Committed<never>, 'stamp' | 'nodes'>> {
  // Lost before anything was sent: then nothing was committed for certain.
  if (connection.failure !== undefined) throw new DatastoreAway(connection.failure)
  const results = await connection
    .query<unknown>(
      `set constraints all immediate;
       select position, encode(digest, 'hex') as digest from events order by position desc limit 1;
       select name, life, case when status = 'left' then
           greatest(0, refuses_after_ms - extract(epoch from clock_timestamp() - forced_at) * 1000)::bigint
         end as "lapsesMs",
         status <> 'left' and last_seen < clock_timestamp() - make_interval(secs => ttl_on_failure) as expired
       from nodes where life is not null
         and (status <> 'left' or forced_at >= clock_timestamp() - refuses_after_ms * interval '1 ms');
       commit`,
    )
    .catch((error) => {
      // Only a refused statement proves that the commit behind it was not carried out.
      const refused = error instanceof DatastoreError && refusesStatement(error.cause)
      throw refused ? error : new OutcomeUnknown(error)
    })
  const [, heads, lives, end] = results as unknown as [
    unknown,
    Rows<Stamp>,
    Rows<RegisteredLife>,
    Rows<never>,
  ]
  if (end?.command !== 'COMMIT') throw new DatastoreError('the datastore did not commit')
  const stamp = heads.rows[0]
  if (!stamp) throw new OutcomeUnknown(new DatastoreError('the log has no events'))
  return { stamp, nodes: lives.rows }
}

/** A connection that can't roll back is closed, which does the same. */
async function rollback(connection: Connection): Promise<void> {
  if (connection.failure !== undefined) return
  await connection.query('rollback').catch(() => undefined)
}
