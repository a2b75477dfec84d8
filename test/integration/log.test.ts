// The log as triggers write it (migrations/0001_log.ts), and as a node reads it.
import { expect } from 'chai'
import pg from 'pg'
import type { Database } from '../../src/database/database.ts'
import { continues, eventDigest } from '../../src/event-log/digest.ts'
import { type Change, type LogEvent, parseChange, transactionsOf } from '../../src/event-log/event.ts'
import { PostgresEventLog } from '../../src/event-log/postgres-event-log.ts'
import { entitiesOf } from '../../src/node/plugins.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import { openDatabase, until } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('the log', () => {
  let test: TestDatabase
  let database: Database
  let log: PostgresEventLog
  const clients: pg.Client[] = []

  before(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    log = new PostgresEventLog(database)
  })

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end()))
    await test.query('delete from apis')
    await test.query('delete from consumers')
  })

  after(async () => {
    await database.stop()
    await test.drop()
  })

  async function connect(): Promise<pg.Client> {
    const { host, port, user, password, database } = test
    const client = new pg.Client({ host, port, user, password, database })
    await client.connect()
    clients.push(client)
    return client
  }

  async function head(): Promise<number> {
    return (await log.head()).position
  }

  /** The events after `position`, as the table has them. */
  async function eventsAfter(position: number): Promise<LogEvent[]> {
    const rows = await test.query(
      `select position::int, first::int, encode(digest, 'hex') as digest, body
       from events where position > $1 order by position`,
      [position],
    )
    return rows as LogEvent[]
  }

  async function changes(position: number): Promise<Change[]> {
    return (await eventsAfter(position)).map(parseChange)
  }

  async function refusal(client: pg.Client, ...statements: string[]): Promise<pg.DatabaseError> {
    try {
      for (const statement of statements) await client.query(statement)
    } catch (error) {
      await client.query('rollback')
      return error as pg.DatabaseError
    }
    throw new Error('it was not refused')
  }

  it('has positions without a hole, in commit order, whoever writes and however long they take', async function () {
    this.timeout(60_000)
    const before = await head()
    const writers = await Promise.all(Array.from({ length: 12 }, connect))
    const reader = await connect()
    let writing = true
    const seen: LogEvent[] = []

    /** Tails the log; who sees position n must see the effect of every event up to n in the same snapshot. */
    async function tail(): Promise<void> {
      for (let last = before; writing || last < (await head()); ) {
        const { rows } = await reader.query(
          `select position::int, first::int, encode(digest, 'hex') as digest, body,
             (body::jsonb -> 'new' ->> 'id') as id,
             exists (select from consumers c where c.id = (body::jsonb -> 'new' ->> 'id')::uuid) as visible
           from events where position > $1 order by position`,
          [last],
        )
        for (const { id, visible, ...event } of rows) {
          expect(event.position).to.equal(++last)
          expect(visible, `position ${last} without its row ${id}`).to.equal(true)
          seen.push(event)
        }
      }
    }

    async function write(client: pg.Client, writer: number): Promise<number> {
      let committed = 0
      for (let i = 0; i < 30; i++) {
        const kind = (writer + i) % 5
        const insert = (n: number) =>
          client.query('insert into consumers (username) values ($1)', [`w${writer}-${i}-${n}`])
        await client.query('begin')
        for (let n = 0; n <= kind; n++) await insert(n)
        if (kind === 1) {
          await client.query('savepoint s')
          await insert(10)
          await client.query('set constraints all immediate; set constraints all deferred')
          await client.query('rollback to s')
        }
        if (kind === 2) await client.query('select pg_sleep(0.003)')
        if (kind === 3) await client.query('set constraints all immediate')
        const undo = (writer * 7 + i) % 4 === 0
        await client.query(undo ? 'rollback' : 'commit')
        if (!undo) committed += kind + 1
      }
      return committed
    }

    const tailing = tail()
    const committed = await Promise.all(writers.map(write))
    writing = false
    await tailing
    const total = committed.reduce((sum, n) => sum + n)
    expect(await head()).to.equal(before + total)
    expect(seen).to.have.length(total)
    expect(
      transactionsOf(seen).every((events) => events.every((e) => e.first === events[0]?.position)),
    ).to.equal(true)
  })

  it('chains digests that a node gets to as well, from the bytes that it reads', async () => {
    const before = await log.head()
    await test.query(`insert into consumers (username) values ('Ünïcode ☃ "quoted" \\ 𝄞'), ('b')`)
    const events = await eventsAfter(before.position)
    expect(events).to.have.length(2)
    expect(continues(before, events)).to.equal(true)
    const [genesis] = await eventsAfter(-1)
    expect(genesis?.digest).to.equal(eventDigest('', 0, genesis?.body as string))
    const broken = await test.query(
      `select position from (select position, digest, body, lag(digest, 1, '') over (order by position) as before
         from events) e where digest <> event_digest(before, position, body)`,
    )
    expect(broken).to.deep.equal([])
  })

  it('tells who changed what, with the rows before and after', async () => {
    const before = await head()
    const client = await connect()
    await client.query(
      `begin; set local troop.actor = 'alice'; insert into consumers (username) values ('a'); commit`,
    )
    await client.query(`update consumers set custom_id = 'c' where username = 'a'`)
    await client.query(`delete from consumers where username = 'a'`)
    const [create, update, remove] = await changes(before)
    expect(create).to.include({
      entity: 'consumers',
      operation: 'create',
      actor: 'alice',
      old: null,
      schema: 1,
    })
    expect(create?.new).to.have.keys('id', 'created_at', 'username', 'custom_id')
    expect(update).to.include({ operation: 'update', actor: null })
    expect(update?.old).to.deep.equal(create?.new)
    expect(update?.new).to.deep.equal({ ...create?.new, custom_id: 'c' })
    expect(remove).to.deep.include({ operation: 'delete', old: update?.new, new: null })
    expect(Math.abs((create?.at ?? 0) - Date.parse(String(new Date())))).to.be.below(3_600_000)
  })

  it('prints the same row in the same way, whatever the writer has set', async () => {
    await test.query(`create table clocks (id uuid primary key, at timestamptz, share float8)`)
    await test.query(`select log_changes('clocks')`)
    const before = await head()
    const client = await connect()
    await client.query(`set timezone = 'Asia/Tokyo'; set datestyle = 'german'; set search_path = pg_catalog`)
    const id = '00000000-0000-4000-8000-000000000001'
    await client.query(`insert into public.clocks values ('${id}', '2026-01-01T00:00:00Z', 0.1)`)
    const [change] = await changes(before)
    await test.query('drop table clocks')
    expect(change?.new).to.deep.equal({ id, at: '2026-01-01T00:00:00+00:00', share: 0.1 })
  })

  it('records a cascade and a statement of many rows row by row, in one transaction', async () => {
    const [api] = await test.query(
      `insert into apis (name, request_path, upstream_url) values ('a', '/a', 'http://a') returning id`,
    )
    await test.query(`insert into plugins (api_id, name) select $1, 'p' || n from generate_series(1, 3) n`, [
      api.id,
    ])
    const before = await head()
    await test.query('delete from apis where id = $1', [api.id])
    const events = await eventsAfter(before)
    expect(events.map((event) => event.first)).to.deep.equal(Array(4).fill(before + 1))
    expect((await changes(before)).map(({ entity, operation }) => `${operation} ${entity}`)).to.have.members([
      'delete apis',
      ...Array(3).fill('delete plugins'),
    ])
  })

  it('keeps nobody waiting for a transaction that is open and idle', async () => {
    const idle = await connect()
    await idle.query(`begin; insert into consumers (username) values ('idle')`)
    const other = await connect()
    await other.query(`set lock_timeout = '2s'`)
    await other.query(`insert into consumers (username) values ('other')`)
    const before = await head()
    await idle.query('commit')
    expect((await changes(before)).map((change) => change.new?.username)).to.deep.equal(['idle'])
  })

  it('takes its lock with the commit of our own transactions, not with their statements', async () => {
    let written: number | undefined
    const { stamp } = await database.transaction(
      async (trx) => {
        await trx
          .insertInto('consumers' as never)
          .values({ username: 'paused' } as never)
          .execute()
        const other = await connect()
        await other.query(`set lock_timeout = '2s'; insert into consumers (username) values ('quick')`)
        written = await head()
      },
      { actor: null },
    )
    expect(stamp.position).to.equal((written as number) + 1)
  })

  it('has no hole where something was rolled back', async () => {
    const before = await head()
    const client = await connect()
    await client.query(
      `begin; insert into consumers (username) values ('gone'); set constraints all immediate`,
    )
    await client.query('rollback')
    await client.query(`insert into consumers (username) values ('stays')`)
    expect((await eventsAfter(before)).map(({ position }) => position)).to.deep.equal([before + 1])
  })

  it('keeps one transaction one, although savepoints were rolled back and constraints made immediate', async () => {
    const before = await head()
    const client = await connect()
    await client.query('begin')
    await client.query(
      `savepoint a; insert into consumers (username) values ('1'); set constraints all immediate`,
    )
    await client.query('rollback to a; set constraints all deferred')
    await client.query(`insert into consumers (username) values ('2'); set constraints all immediate`)
    await client.query(`savepoint b; insert into consumers (username) values ('3')`)
    await client.query(`release b; insert into consumers (username) values ('4'); commit`)
    const events = await eventsAfter(before)
    expect(events.map(parseChange).map((change) => change.new?.username)).to.deep.equal(['2', '3', '4'])
    expect(events.map(({ first }) => first)).to.deep.equal(Array(3).fill(before + 1))
  })

  for (const level of ['repeatable read', 'serializable']) {
    it(`refuses ${level}, whose snapshot would be too old, by name`, async () => {
      const before = await head()
      const error = await refusal(
        await connect(),
        `begin isolation level ${level}`,
        `insert into consumers (username) values ('x')`,
        'commit',
      )
      expect(error.message).to.equal(
        `a change of consumers needs isolation level READ COMMITTED, this transaction is ${level.toUpperCase()}`,
      )
      expect(await head()).to.equal(before)
      expect(await test.query(`select from consumers where username = 'x'`)).to.have.length(0)
    })
  }

  it('refuses TRUNCATE of what it records and of itself, with the remedy', async () => {
    const client = await connect()
    for (const table of ['apis', 'consumers', 'plugins', 'events']) {
      const error = await refusal(client, `truncate ${table} cascade`)
      expect(error.message).to.match(/^TRUNCATE is not allowed on \w+: the log would miss it$/)
      expect(error.hint).to.match(/^delete from \w+$/)
    }
  })

  it('refuses to be changed, and to lose anything but its oldest events', async () => {
    const client = await connect()
    await client.query(`insert into consumers (username) values ('1'), ('2')`)
    const error = await refusal(client, `update events set body = '{}'`)
    expect(error.message).to.equal('UPDATE is not allowed on events: the log would miss it')
    for (const where of ['position = (select max(position) from events)', 'true', 'position = 1'])
      expect((await refusal(client, `delete from events where ${where}`)).message).to.match(/only the oldest/)
    await client.query('begin; delete from events where position = 0; rollback')
  })

  it('records what is written with session_replication_role = replica', async () => {
    const before = await head()
    const client = await connect()
    await client.query(
      `set session_replication_role = replica; insert into consumers (username) values ('r')`,
    )
    expect(await head()).to.equal(before + 1)
    await client.query(`set session_replication_role = replica`)
    expect((await refusal(client, 'truncate consumers cascade')).message).to.match(/TRUNCATE is not allowed/)
  })

  it('has its triggers on every entity table, always enabled and deferred', async () => {
    for (const { name } of entitiesOf(shippedPlugins).filter(({ logged }) => logged !== false)) {
      const triggers = await test.query(
        `select tgname as name, tgenabled as enabled, tgdeferrable and tginitdeferred as deferred
         from pg_trigger where tgrelid = $1::regclass and not tgisinternal order by tgname`,
        [name],
      )
      expect(triggers, name).to.deep.equal([
        { name: 'log_change', enabled: 'A', deferred: true },
        { name: 'refuse_truncate', enabled: 'A', deferred: false },
      ])
    }
  })

  it('has no deferrable constraint but its own: nothing may lock rows while its lock is held', async () => {
    const others = await test.query(
      `select conrelid::regclass::text as table, conname as name from pg_constraint
       where condeferrable and conname <> 'log_change'`,
    )
    // It changes the very row that its transaction has written, and so has locked, before.
    expect(others).to.deep.equal([{ table: 'nodes', name: 'log_change_life' }])
  })

  it('notifies once for each transaction, of the position of its first event', async () => {
    const listener = await connect()
    const heard: (string | undefined)[] = []
    listener.on('notification', ({ payload }) => heard.push(payload))
    await listener.query('listen troop_public')
    const before = await head()
    await test.query(`insert into consumers (username) select 'n' || n from generate_series(1, 20) n`)
    await test.query(`insert into consumers (username) values ('one')`)
    await until(() => heard.length >= 2)
    await listener.query('select 1')
    expect(heard).to.deep.equal([String(before + 1), String(before + 21)])
  })

  describe('read by pages', () => {
    const small = { pageEvents: 4, pageBytes: 1e6, transactionEventsMax: 10, transactionBytesMax: 1e6 }

    async function insert(rows: number): Promise<void> {
      const tag = `${Date.parse(String(new Date()))}-${rows}-${await head()}`
      await test.query(
        `insert into consumers (username) select '${tag}-' || n from generate_series(1, $1) n`,
        [rows],
      )
    }

    async function read(from: Awaited<ReturnType<PostgresEventLog['head']>>, limits = small) {
      const page = await new PostgresEventLog(database, limits).read(from)
      if (page.kind !== 'events') return page
      return { sizes: transactionsOf(page.events).map((events) => events.length), more: page.more }
    }

    it('never splits a transaction', async () => {
      const from = await log.head()
      for (const rows of [1, 2, 2, 3]) await insert(rows)
      expect(await read(from)).to.deep.equal({ sizes: [1, 2], more: true })
      expect(await read(from, { ...small, pageEvents: 5 })).to.deep.equal({ sizes: [1, 2, 2], more: true })
      expect(await read(from, { ...small, pageEvents: 8 })).to.deep.equal({
        sizes: [1, 2, 2, 3],
        more: false,
      })
      expect(await read(await log.head())).to.deep.equal({ sizes: [], more: false })
    })

    it('gives a transaction bigger than a page whole, and jumps over one beyond the bound', async () => {
      const from = await log.head()
      await insert(10)
      expect(await read(from)).to.deep.equal({ sizes: [10], more: true })
      const next = await log.head()
      await insert(11)
      expect(await read(next)).to.deep.equal({ kind: 'jump', reason: 'too-big' })
      expect(await read(next, { ...small, transactionEventsMax: 11 })).to.deep.equal({
        sizes: [11],
        more: true,
      })
      expect(await read(from, { ...small, transactionBytesMax: 500 })).to.deep.equal({
        kind: 'jump',
        reason: 'too-big',
      })
    })

    it('bounds the bytes of a page, but gives at least one transaction', async () => {
      const from = await log.head()
      for (const rows of [1, 1, 1]) await insert(rows)
      const one = (await eventsAfter(from.position))[0]?.body.length as number
      expect(await read(from, { ...small, pageBytes: one * 2 + 9 })).to.deep.equal({
        sizes: [1, 1],
        more: true,
      })
      expect(await read(from, { ...small, pageBytes: 10 })).to.deep.equal({ sizes: [1], more: true })
    })

    it('tells what was pruned from another history', async () => {
      const own = await testDatabase()
      const ownDatabase = openDatabase(own)
      const ownLog = new PostgresEventLog(ownDatabase)
      const start = await ownLog.head()
      await own.query(`insert into consumers (username) values ('1')`)
      await own.query(`insert into consumers (username) values ('2')`)
      const end = await ownLog.head()
      expect(await ownLog.read({ ...start, digest: end.digest })).to.deep.equal({ kind: 'other-history' })
      expect(await ownLog.read({ ...end, position: end.position + 1 })).to.deep.equal({
        kind: 'other-history',
      })
      await own.query('delete from events where position <= $1', [start.position])
      expect(await ownLog.read(start)).to.deep.equal({ kind: 'jump', reason: 'pruned' })
      expect(await ownLog.read(end)).to.deep.equal({ kind: 'events', events: [], more: false })
      await ownDatabase.stop()
      await own.drop()
    })
  })
})
