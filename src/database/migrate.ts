// Brings a datastore to the schema that this Troop needs: the core's migrations first, then each plugin's own,
// every module with a record of its own. Any node may do it; one at a time does.
import { CompiledQuery, type Kysely, type RawBuilder, sql } from 'kysely'
import { type Migration, type MigrationResultSet, Migrator } from 'kysely/migration'
import { coreMigrations } from '../../migrations/migrations.ts'
import type { Clock } from '../base/clock.ts'
import { describeError } from '../base/errors.ts'
import { DatastoreTooNew, MigrationFailed, PostgresTooOld, WaitInterrupted } from './errors.ts'

// biome-ignore lint/suspicious/noExplicitAny: whatever tables the caller's kysely knows, none are used here
type AnyDatabase = Kysely<any>

/** Migrations that are recorded together, in `migrations_<name>`. */
export interface MigrationModule {
  /** `core` or a plugin's name. */
  readonly name: string
  /** By name; they run in the order of their names. */
  readonly migrations: Readonly<Record<string, Migration>>
}

export const coreModule: MigrationModule = Object.freeze({ name: 'core', migrations: coreMigrations })

/** Told while a run goes on, e.g. to print it. */
export interface MigrationReport {
  /** A module has migrations to run, and they begin. */
  migrating?(module: string): void
  /** This one has run and is committed. */
  migrated?(module: string, migration: string): void
}

export interface ExecutedMigration {
  readonly module: string
  readonly migration: string
}

/** What `migrations list` shows of a module. */
export interface ModuleMigrations {
  readonly module: string
  /** In the order in which they ran; `at` is an ISO 8601 time. */
  readonly executed: readonly { readonly name: string; readonly at: string }[]
  /** Those that `up` would run, in order. */
  readonly pending: readonly string[]
}

/** Another node's migrations are waited for; longer than this, it is stuck or its session hangs. */
const lockWaitMs = 10 * 60_000
const lockPollMs = 200

const lockTable = 'migration_lock'
const recordTablePrefix = 'migrations_'

/** The comment that marks tables and functions as ours, so that a reset drops them and nothing else. */
const mark = 'troop: '

/** @throws {PostgresTooOld} naming the version found */
export async function requirePostgres15(db: AnyDatabase): Promise<void> {
  const found = await one<{ number: string; version: string }>(
    db,
    sql`select current_setting('server_version_num') as number, current_setting('server_version') as version`,
  )
  if (Number(found.number) < 150_000) throw new PostgresTooOld(found.version)
}

/**
 * Runs what has not run yet: each module in one transaction, in the order given, until one fails. Each module's
 * transaction ends with a `reset` event, so that nodes that run already load everything anew.
 *
 * @param db       its connections must not limit how long a statement takes on the client's side
 * @param modules  the core's first: the plugins' migrations refer to its tables
 * @param signal   ends the waiting for another node's migrations; those that have begun are seen through
 * @returns        what was executed, in order; empty when the schema was up to date
 * @throws {DatastoreTooNew} before anything runs, when a newer Troop has migrated the datastore
 * @throws {MigrationFailed} naming module and migration
 * @throws {WaitInterrupted} when the signal aborts before anything runs
 */
export async function migrateUp(
  db: AnyDatabase,
  modules: readonly MigrationModule[],
  clock: Clock,
  report: MigrationReport = {},
  signal?: AbortSignal,
): Promise<ExecutedMigration[]> {
  const act = async (locked: AnyDatabase) => {
    for (const { module, unknown } of await compare(locked, modules))
      if (unknown[0]) throw new DatastoreTooNew(module.name, unknown[0])
    const executed: ExecutedMigration[] = []
    for (const { module, pending } of await compare(locked, modules)) {
      if (pending.length === 0) continue
      report.migrating?.(module.name)
      for (const migration of await runModule(locked, module)) {
        executed.push({ module: module.name, migration })
        report.migrated?.(module.name, migration)
      }
    }
    return executed
  }
  return exclusively(db, clock, act, signal)
}

/**
 * What has run and what is to run, of the modules given and of those that the datastore has records of besides
 * (a plugin that is not installed any more). Changes nothing.
 */
export async function listMigrations(
  db: AnyDatabase,
  modules: readonly MigrationModule[],
): Promise<ModuleMigrations[]> {
  const known = modules.map(recordTable)
  const others = (await recordTables(db)).filter((table) => !known.includes(table))
  const all = [...modules, ...others.map((table) => ({ name: moduleOf(table), migrations: {} }))]
  const compared = await compare(db, all)
  return compared.map(({ module, executed, pending }) => ({ module: module.name, executed, pending }))
}

/**
 * Drops everything that migrations have made, in one transaction; what else lives in the schema stays. Works
 * whatever has run so far.
 * @throws {MigrationFailed} when an object of somebody else's, e.g. a view, depends on one of ours
 */
export async function resetDatabase(db: AnyDatabase, clock: Clock): Promise<void> {
  await exclusively(db, clock, async (locked) => {
    try {
      await locked.transaction().execute(dropOurs)
    } catch (cause) {
      const detail = detailOf(cause)
      throw new MigrationFailed(`could not reset the datastore${detail ? `: ${detail}` : ''}`, { cause })
    }
  })
}

/**
 * Holds the lock that keeps nodes from migrating at once, on a connection of its own, while `act` runs on it.
 * It belongs to the session: it ends with the process. Asked for again and again, not waited for inside
 * Postgres, where the wait would be cut by whatever timeouts the connection has.
 */
async function exclusively<T>(
  db: AnyDatabase,
  clock: Clock,
  act: (db: AnyDatabase) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  return db.connection().execute(async (session) => {
    const key = sql`hashtextextended('troop:migrations:' || current_schema(), 0)`
    const deadline = clock.monotonic() + lockWaitMs
    for (;;) {
      if (signal?.aborted) throw new WaitInterrupted('the migrations of another node')
      const lock = await one<{ got: boolean }>(session, sql`select pg_try_advisory_lock(${key}) as got`)
      if (lock.got) break
      if (clock.monotonic() > deadline) {
        throw new MigrationFailed(
          `another node has been migrating the datastore for more than ${lockWaitMs / 60_000} minutes`,
          { hint: 'see pg_locks and pg_stat_activity for the session that holds the advisory lock' },
        )
      }
      await clock.sleep(lockPollMs, signal)
    }
    try {
      // Events refuse any other level, and a migration that takes its time is not a mistake.
      await sql`set default_transaction_isolation = 'read committed'`.execute(session)
      await sql`set statement_timeout = 0`.execute(session)
      return await act(session)
    } finally {
      await sql`reset default_transaction_isolation`.execute(session)
      await sql`reset statement_timeout`.execute(session)
      await sql`select pg_advisory_unlock(${key})`.execute(session)
    }
  })
}

interface Comparison {
  readonly module: MigrationModule
  readonly executed: { name: string; at: string }[]
  readonly pending: string[]
  /** Executed ones that the code does not have. */
  readonly unknown: string[]
}

async function compare(db: AnyDatabase, modules: readonly MigrationModule[]): Promise<Comparison[]> {
  const recorded = await recordTables(db)
  const comparisons: Comparison[] = []
  for (const module of modules) {
    const table = recordTable(module)
    const executed = recorded.includes(table) ? await readRecord(db, table) : []
    const names = executed.map(({ name }) => name)
    const known = Object.keys(module.migrations).sort()
    comparisons.push({
      module,
      executed,
      pending: known.filter((name) => !names.includes(name)),
      unknown: names.filter((name) => !known.includes(name)),
    })
  }
  return comparisons
}

async function readRecord(db: AnyDatabase, table: string): Promise<{ name: string; at: string }[]> {
  const record = sql<{ name: string; at: string }>`
    select name, timestamp as at from ${sql.table(table)} order by timestamp, name`
  return (await record.execute(db)).rows
}

/** Runs what is pending of `module`; returns the names. */
async function runModule(db: AnyDatabase, module: MigrationModule): Promise<string[]> {
  const { schema } = await one<{ schema: string }>(db, sql`select current_schema() as schema`)
  const before = (await objects(db)).map(({ identity }) => identity)
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => finishing(module, before) },
    migrationTableName: recordTable(module),
    migrationLockTableName: lockTable,
    // Without it kysely takes a table of that name in any schema for its own.
    migrationTableSchema: schema,
  })
  const { error, results = [] } = await migrator.migrateToLatest()
  if (error) throw failure(module, results, error)
  return results.map(({ migrationName }) => migrationName)
}

/**
 * The module's migrations, where the last one also marks what was made and appends the `reset`, in the same
 * transaction. What is pending always includes the last: kysely refuses names that sort before executed ones.
 */
function finishing(module: MigrationModule, before: readonly string[]): Record<string, Migration> {
  const last = Object.keys(module.migrations).sort().at(-1)
  const wrapped = Object.entries(module.migrations).map(([name, migration]) => {
    if (name !== last) return [name, migration] as const
    const up = async (db: AnyDatabase) => {
      await migration.up(db)
      await markMade(db, module, before)
      await sql`select append_event('log', 'reset', null, null, 1)`.execute(db)
    }
    return [name, { up }] as const
  })
  return Object.fromEntries(wrapped)
}

function failure(
  module: MigrationModule,
  results: MigrationResultSet['results'],
  cause: unknown,
): MigrationFailed {
  const failed = results?.find(({ status }) => status === 'Error')
  const what = failed ? `the migration ${failed.migrationName} of ${module.name}` : `migrating ${module.name}`
  return new MigrationFailed(`${what} failed: ${describeError(cause)}`, {
    cause,
    hint: `nothing of ${module.name} was changed; what ran before it stays`,
  })
}

interface DatabaseObject {
  readonly kind: 'view' | 'table' | 'routine' | 'type'
  /** Quoted, and with its argument types if it is a routine. */
  readonly identity: string
  readonly comment: string | null
}

/** The tables, views, routines and types of our schema, whoever made them. */
async function objects(db: AnyDatabase): Promise<DatabaseObject[]> {
  const query = sql<DatabaseObject>`
    select case c.relkind when 'v' then 'view' else 'table' end as kind, c.oid::regclass::text as identity,
      obj_description(c.oid, 'pg_class') as comment
    from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'v')
    union all
    select 'routine', p.oid::regprocedure::text, obj_description(p.oid, 'pg_proc')
    from pg_proc p where p.pronamespace = current_schema()::regnamespace
    union all
    select 'type', t.oid::regtype::text, obj_description(t.oid, 'pg_type')
    from pg_type t where t.typnamespace = current_schema()::regnamespace and t.typtype in ('e', 'd')`
  return (await query.execute(db)).rows
}

async function markMade(db: AnyDatabase, module: MigrationModule, before: readonly string[]): Promise<void> {
  for (const { kind, identity } of await objects(db)) {
    if (before.includes(identity)) continue
    await raw(db, `comment on ${kind} ${identity} is '${mark}${module.name}'`)
  }
}

async function dropOurs(db: AnyDatabase): Promise<void> {
  const records = [lockTable, ...(await recordTables(db))]
  const ours = (await objects(db)).filter(
    ({ kind, identity, comment }) =>
      comment?.startsWith(mark) || (kind === 'table' && records.includes(identity)),
  )
  // In one statement each, so that the order among tables that refer to each other does not matter.
  for (const kind of ['view', 'table', 'routine', 'type'] as const) {
    const identities = ours.filter((object) => object.kind === kind).map(({ identity }) => identity)
    if (identities.length > 0) await raw(db, `drop ${kind} ${identities.join(', ')}`)
  }
}

/** Postgres' DETAIL, which names what is in the way, wherever in the chain of causes it is. */
function detailOf(error: unknown): string | undefined {
  const { detail, cause } = (error ?? {}) as { detail?: string; cause?: unknown }
  return detail ?? (cause === undefined ? undefined : detailOf(cause))
}

function recordTable({ name }: MigrationModule): string {
  return recordTablePrefix + name.replaceAll('-', '_')
}

/** Names of modules have no `_`. */
function moduleOf(table: string): string {
  return table.slice(recordTablePrefix.length).replaceAll('_', '-')
}

/** The record tables in our schema: named like one, with kysely's two columns. */
async function recordTables(db: AnyDatabase): Promise<string[]> {
  const query = sql<{ name: string }>`
    select table_name as name from information_schema.columns
    where table_schema = current_schema() and starts_with(table_name, ${recordTablePrefix})
    group by table_name having array_agg(column_name::text order by ordinal_position) = '{name,timestamp}'
    order by table_name`
  return (await query.execute(db)).rows.map(({ name }) => name)
}

async function one<T>(db: AnyDatabase, query: RawBuilder<T>): Promise<T> {
  const { rows } = await query.execute(db)
  return rows[0] as T
}

/** For statements whose parts Postgres has quoted itself. */
async function raw(db: AnyDatabase, text: string): Promise<void> {
  await db.executeQuery(CompiledQuery.raw(text))
}
