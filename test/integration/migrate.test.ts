import { expect } from 'chai'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import {
  coreModule,
  listMigrations,
  type MigrationModule,
  migrateUp,
  requirePostgres15,
  resetDatabase,
} from '../../src/database/migrate.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

const ranks: MigrationModule = {
  name: 'api-ranks',
  migrations: {
    '0001_ranks': {
      async up(db) {
        await sql`create table ranks (api_id uuid references apis on delete cascade)`.execute(db)
        await sql`select log_changes('ranks')`.execute(db)
      },
    },
  },
}

const later: MigrationModule = {
  name: 'api-ranks',
  migrations: {
    ...ranks.migrations,
    '0002_more': { up: (db) => sql`alter table ranks add column rank int`.execute(db).then(() => {}) },
  },
}

const failing: MigrationModule = {
  name: 'broken',
  migrations: {
    '0001_fine': { up: (db) => sql`create table half_made ()`.execute(db).then(() => {}) },
    '0002_broken': { up: (db) => sql`select no_such_function()`.execute(db).then(() => {}) },
  },
}

const coreNames = Object.keys(coreModule.migrations)

describe('migrations', () => {
  let owned: TestDatabase
  let db: Kysely<unknown>

  // The copy has all migrations, so every test begins at nothing by way of a reset.
  beforeEach(async () => {
    owned = await testDatabase()
    db = open()
    await resetDatabase(db, systemClock)
  })

  afterEach(async () => {
    await db.destroy()
    await owned.drop()
  })

  const up = (...plugins: MigrationModule[]) => migrateUp(db, [coreModule, ...plugins], systemClock)
  const list = (...plugins: MigrationModule[]) => listMigrations(db, [coreModule, ...plugins])

  it('run from an empty datastore in order, the core first, and are recorded per module [contract 134]', async () => {
    const told: string[] = []
    const executed = await migrateUp(db, [coreModule, ranks], systemClock, {
      migrating: (module) => told.push(`migrating ${module}`),
      migrated: (module, migration) => told.push(`${module} migrated up to ${migration}`),
    })
    expect(executed).to.deep.equal([
      ...coreNames.map((migration) => ({ module: 'core', migration })),
      { module: 'api-ranks', migration: '0001_ranks' },
    ])
    expect(told).to.deep.equal([
      'migrating core',
      ...coreNames.map((name) => `core migrated up to ${name}`),
      'migrating api-ranks',
      'api-ranks migrated up to 0001_ranks',
    ])
    expect(names(await list(ranks))).to.deep.equal({ core: coreNames, 'api-ranks': ['0001_ranks'] })
  })

  it('do nothing the second time [contract 134]', async () => {
    await up(ranks)
    const head = await headOf(owned)
    expect(await up(ranks)).to.deep.equal([])
    expect(await headOf(owned)).to.equal(head)
  })

  it('are listed as pending when none has run yet, and listing changes nothing [contract 135]', async () => {
    const [core, plugin] = await list(ranks)
    expect(core).to.deep.equal({ module: 'core', executed: [], pending: coreNames })
    expect(plugin).to.deep.equal({ module: 'api-ranks', executed: [], pending: ['0001_ranks'] })
    expect(await tables(owned)).to.deep.equal([])
  })

  it('of a database that does not exist are an error [contract 135]', async () => {
    const nowhere = open('no_such_database')
    const error = await failure(listMigrations(nowhere, [coreModule]))
    await nowhere.destroy()
    expect(String(error)).to.include('database "no_such_database" does not exist')
  })

  it('list the time at which each ran, and modules that are not installed any more', async () => {
    await up(ranks)
    const listed = await listMigrations(db, [coreModule])
    expect(names(listed)).to.have.property('api-ranks').that.deep.equals(['0001_ranks'])
    for (const { executed } of listed)
      for (const { at } of executed) expect(new Date(at).toISOString()).to.equal(at)
  })

  it('that came with an update run alone', async () => {
    await up(ranks)
    expect((await list(later))[1]?.pending).to.deep.equal(['0002_more'])
    expect(await up(later)).to.deep.equal([{ module: 'api-ranks', migration: '0002_more' }])
  })

  it('end each module with a reset event in the same transaction, so that running nodes load anew', async () => {
    await up()
    const before = await headOf(owned)
    await up(ranks)
    const events = await owned.query('select body::jsonb as body from events where position > $1', [before])
    expect(events.map(({ body }) => [body.entity, body.operation])).to.deep.equal([['log', 'reset']])
  })

  it('run once when two nodes start at the same time', async () => {
    const other = open()
    const runs = await Promise.all([
      up(ranks),
      migrateUp(other, [coreModule, ranks], systemClock),
      migrateUp(other, [coreModule, ranks], systemClock),
    ])
    await other.destroy()
    expect(runs.map(({ length }) => length).sort()).to.deep.equal([0, 0, coreNames.length + 1])
    expect(names(await list(ranks))).to.deep.equal({ core: coreNames, 'api-ranks': ['0001_ranks'] })
  })

  it('of another node are not waited for once the signal has aborted, and none has run', async () => {
    const other = new pg.Client({ ...owned })
    await other.connect()
    await other.query(`select pg_advisory_lock(hashtextextended('troop:migrations:' || current_schema(), 0))`)
    const stopping = new AbortController()
    const sleep: Clock['sleep'] = (delayMs, signal) => {
      stopping.abort()
      return systemClock.sleep(delayMs, signal)
    }
    const waiting = failure(migrateUp(db, [coreModule], { ...systemClock, sleep }, {}, stopping.signal))
    expect(await waiting).to.have.property('code', 'wait-interrupted')
    await other.end()
    expect(await tables(owned)).to.deep.equal([])
    expect(await up()).to.have.length(coreNames.length)
  })

  it('stop at the first that fails, naming it, and leave nothing of its module', async () => {
    const error = await failure(up(failing, ranks))
    expect(error).to.have.property('code', 'migration-failed')
    expect(String(error)).to.match(/0002_broken of broken failed: .*no_such_function/)
    expect(names(await list(failing, ranks))).to.deep.equal({ core: coreNames, broken: [], 'api-ranks': [] })
    expect(await tables(owned))
      .to.include('apis')
      .and.not.include('half_made')
  })

  it('go on after a failure was mended', async () => {
    await failure(up(failing))
    const mended = { name: 'broken', migrations: { '0001_fine': ranks.migrations['0001_ranks'] as never } }
    expect(await up(mended)).to.deep.equal([{ module: 'broken', migration: '0001_fine' }])
  })

  it('refuse a datastore that a newer version has migrated, before anything runs', async () => {
    await up(later)
    const head = await headOf(owned)
    const error = await failure(up(failing, ranks))
    expect(error).to.have.property('code', 'datastore-too-new')
    expect(String(error)).to.include('0002_more of api-ranks')
    expect(await headOf(owned)).to.equal(head)
  })

  it('run whatever the default isolation level of the server is', async () => {
    await owned.query(`alter database ${owned.database} set default_transaction_isolation = 'serializable'`)
    await db.destroy()
    db = open()
    expect(await up(ranks)).to.have.length(coreNames.length + 1)
  })

  describe('reset', () => {
    it('drops everything that they made, also of plugins that are not installed any more', async () => {
      await up(ranks)
      await resetDatabase(db, systemClock)
      expect(await tables(owned)).to.deep.equal([])
      expect(await routines(owned)).to.deep.equal([])
      expect(await up()).to.have.length(coreNames.length)
    })

    it('works after a failed migration', async () => {
      await failure(up(failing))
      await resetDatabase(db, systemClock)
      expect(await tables(owned)).to.deep.equal([])
    })

    it('works on an empty datastore', async () => {
      await resetDatabase(db, systemClock)
      expect(await tables(owned)).to.deep.equal([])
    })

    it('leaves what is not ours', async () => {
      await owned.query('create table theirs (id int primary key)')
      await owned.query('create function their_number() returns int language sql return 1')
      await up(ranks)
      await owned.query('create table theirs_too (migrations_core int)')
      await resetDatabase(db, systemClock)
      expect(await tables(owned)).to.deep.equal(['theirs', 'theirs_too'])
      expect(await routines(owned)).to.deep.equal(['their_number'])
    })

    it('drops nothing when something of somebody else depends on ours, and names it', async () => {
      await up()
      await owned.query('create view their_view as select name from apis')
      const error = await failure(resetDatabase(db, systemClock))
      expect(error).to.have.property('code', 'migration-failed')
      expect(String(error)).to.include('their_view')
      expect(await tables(owned))
        .to.include('events')
        .and.include('apis')
    })
  })

  it('need a Postgres of version 15 or newer', async () => {
    await requirePostgres15(db)
    // A setting of the session hides the real one from a query that names no schema.
    await owned.query(`create function public.current_setting(text) returns text language sql
      return case $1 when 'server_version_num' then '140009' else '14.9' end`)
    const old = open(owned.database, '-c search_path=public,pg_catalog')
    const error = await failure(requirePostgres15(old))
    await old.destroy()
    expect(error).to.have.property('code', 'postgres-too-old')
    expect(String(error)).to.include('14.9')
  })

  function open(database = owned.database, options = ''): Kysely<unknown> {
    const { host, port, user, password } = owned
    const pool = new pg.Pool({ host, port, user, password, database, options, max: 3 })
    return new Kysely({ dialect: new PostgresDialect({ pool }) })
  }
})

function names(listed: Awaited<ReturnType<typeof listMigrations>>): Record<string, string[]> {
  return Object.fromEntries(listed.map(({ module, executed }) => [module, executed.map(({ name }) => name)]))
}

async function headOf(database: TestDatabase): Promise<string> {
  const [row] = await database.query('select max(position) as head from events')
  return row.head
}

async function tables(database: TestDatabase): Promise<string[]> {
  const rows = await database.query(
    `select tablename as name from pg_tables where schemaname = 'public' order by tablename`,
  )
  return rows.map(({ name }) => name)
}

async function routines(database: TestDatabase): Promise<string[]> {
  const rows = await database.query(
    `select proname as name from pg_proc where pronamespace = 'public'::regnamespace order by proname`,
  )
  return rows.map(({ name }) => name)
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  return expect.fail('it did not fail')
}
