import { expect } from 'chai'
import { sql } from 'kysely'
import { codeOf } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { Database } from '../../src/database/database.ts'
import { openDatabase, until } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

describe('the database', () => {
  let test: TestDatabase
  let proxy: TcpProxy
  const opened: Database[] = []

  before(async () => {
    test = await testDatabase()
  })

  beforeEach(async () => {
    proxy = await TcpProxy.to(test.host, test.port)
  })

  afterEach(async () => {
    await proxy.stop()
    await Promise.all(opened.splice(0).map((database) => database.stop()))
    await test.query('delete from consumers')
  })

  after(() => test.drop())

  function open(options: Parameters<typeof openDatabase>[1] = {}): Database {
    const database = openDatabase(test, options)
    opened.push(database)
    return database
  }

  function insert(database: Database, username: string) {
    return database.transaction(
      (trx) => sql`insert into consumers (username) values (${username})`.execute(trx),
      { actor: null },
    )
  }

  async function exists(username: string): Promise<boolean> {
    return (await test.query('select from consumers where username = $1', [username])).length > 0
  }

  async function failure(promise: Promise<unknown>): Promise<Error & { sqlState?: string }> {
    return promise.then(
      () => expect.fail('it did not fail'),
      (error) => error,
    )
  }

  const ping = (database: Database) => sql<{ one: number }>`select 1::bigint as one`.execute(database.primary)

  it('gives each transaction its own place in the log, however many commit at once', async () => {
    const database = open()
    const committed = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => ({ i, ...(await insert(database, `u${i}`)) })),
    )
    const events = await test.query(
      `select position::int, encode(digest, 'hex') as digest, body::jsonb -> 'new' ->> 'username' as username
       from events where position > 1`,
    )
    const expected = new Map(events.map(({ username, ...stamp }) => [username, stamp]))
    for (const { i, stamp } of committed) expect(stamp).to.deep.equal(expected.get(`u${i}`))
  })

  it('names the newest of several events, and the actor in all', async () => {
    const { stamp } = await open().transaction(
      async (trx) => {
        for (const name of ['x', 'y', 'z'])
          await sql`insert into consumers (username) values (${name})`.execute(trx)
      },
      { actor: `o'neil \\ "x"` },
    )
    const events = await test.query(
      `select position::int, first::int, body::jsonb ->> 'actor' as actor from events order by position desc limit 3`,
    )
    expect(events[0].position).to.equal(stamp.position)
    expect(events[2].first).to.equal(stamp.position - 2)
    for (const event of events) expect(event.actor).to.equal(`o'neil \\ "x"`)
  })

  it('does not leave the actor to the next transaction on the connection', async () => {
    const database = open({ poolSize: 1 })
    await database.transaction(async () => {}, { actor: 'alice' })
    const { rows } = await sql<{ actor: string }>`
      select current_setting('troop.actor', true) as actor`.execute(database.primary)
    expect(rows[0]?.actor || null).to.equal(null)
  })

  it('undoes all of a transaction whose work throws', async () => {
    const database = open({ poolSize: 1 })
    const work = database.transaction(
      async (trx) => {
        await sql`insert into consumers (username) values ('never')`.execute(trx)
        throw new Error('changed my mind')
      },
      { actor: null },
    )
    expect((await failure(work)).message).to.equal('changed my mind')
    expect(await exists('never')).to.equal(false)
    await ping(database)
  })

  it('lets no statement through that comes after the end of its transaction', async () => {
    const database = open({ poolSize: 1 })
    let late: Promise<unknown> = Promise.resolve()
    const work = database.transaction(
      async (trx) => {
        const first = sql`select pg_sleep(0.05)`.execute(trx)
        late = failure(sql`insert into consumers (username) values ('late')`.execute(trx))
        await Promise.race([first, Promise.reject(new Error('gave up'))])
      },
      { actor: null },
    )
    expect((await failure(work)).message).to.equal('gave up')
    expect(await late).to.have.property('message', 'a statement came after the end of its transaction')
    await insert(database, 'next')
    expect(await exists('late')).to.equal(false)
  })

  it('reads 8-byte integers as numbers, and refuses those that a number cannot hold', async () => {
    const database = open()
    expect((await ping(database)).rows[0]?.one).to.equal(1)
    const error = await failure(sql`select 9007199254740993::bigint`.execute(database.primary))
    expect(error.message).to.match(/could not be asked|beyond/)
  })

  it('says that the outcome is unknown when the answer to the commit was lost', async () => {
    const database = open({ port: proxy.port, poolSize: 2 })
    proxy.onRequest = (data, wire) => data.includes('set constraints') && wire.mute()
    const error = await failure(insert(database, 'committed'))
    expect(codeOf(error)).to.equal('outcome-unknown')
    await until(() => exists('committed'))
    proxy.onRequest = () => {}
    await insert(database, 'after')
  })

  it('says that the outcome is unknown when the server gives up during the commit, whatever its reason', async () => {
    for (const [severity, state] of [
      ['PANIC', '58030'],
      ['FATAL', '53100'],
      ['PANIK', '58030'],
    ] as const) {
      const database = open({ port: proxy.port })
      proxy.onRequest = (data, wire) => {
        if (!data.includes('set constraints')) return
        wire.mute()
        wire.answer(errorResponse(severity, state))
      }
      const error = await failure(insert(database, `during ${severity} ${state}`))
      expect(codeOf(error), `${severity} ${state}`).to.equal('outcome-unknown')
      proxy.onRequest = () => {}
    }
  })

  it('says that nothing happened when the commit was refused', async () => {
    await test.query(`
      create function refuse() returns trigger language plpgsql as $$ begin
        raise exception 'no' using errcode = '53100'; end $$;
      create constraint trigger refuse after insert on consumers
        deferrable initially deferred for each row execute function refuse()`)
    const error = await failure(insert(open(), 'refused'))
    await test.query('drop function refuse cascade')
    expect(error).to.include({ code: 'datastore-error', sqlState: '53100' })
    expect(await exists('refused')).to.equal(false)
  })

  it('says that nothing happened when the connection was lost before the commit', async () => {
    const database = open({ port: proxy.port })
    const work = database.transaction(
      async (trx) => {
        await sql`insert into consumers (username) values ('lost')`.execute(trx)
        proxy.cut()
        await until(() => false || true)
        await new Promise((resolve) => setImmediate(resolve))
      },
      { actor: null },
    )
    expect(codeOf(await failure(work))).to.be.oneOf(['datastore-away', 'outcome-unknown'])
    expect(await exists('lost')).to.equal(false)
  })

  it('says that it is away when connections are refused, cut or silent', async () => {
    const database = open({ port: proxy.port, poolSize: 1, connectTimeoutMs: 500, queryTimeoutMs: 200 })
    await ping(database)
    proxy.onRequest = (_, wire) => wire.cut()
    expect(codeOf(await failure(ping(database)))).to.equal('datastore-away')
    proxy.onRequest = () => {}
    await ping(database)
    proxy.blackHole()
    expect(codeOf(await failure(ping(database)))).to.equal('datastore-away')
    await ping(database)
    await proxy.stop()
    expect(codeOf(await failure(ping(database)))).to.equal('datastore-away')
    proxy = await TcpProxy.to(test.host, test.port)
  })

  it('survives that idle connections are terminated', async () => {
    const database = open()
    await Promise.all(Array.from({ length: 5 }, () => ping(database)))
    await test.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'troop'`,
    )
    await until(async () => {
      const left = await test.query(
        `select from pg_stat_activity where datname = current_database() and application_name = 'troop'`,
      )
      return left.length === 0
    })
    const answers = await Promise.allSettled(Array.from({ length: 5 }, () => ping(database)))
    for (const answer of answers) {
      if (answer.status === 'rejected') expect(codeOf(answer.reason)).to.equal('datastore-away')
    }
    await ping(database)
  })

  it('survives that a session is ended in the moment in which it is ready', async () => {
    const message = (type: string, body: string) => {
      const length = Buffer.alloc(4)
      length.writeInt32BE(body.length + 4)
      return Buffer.concat([Buffer.from(type), length, Buffer.from(body, 'latin1')])
    }
    const ended = 'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'
    // In one piece, as a server sends it that was told to end the session meanwhile.
    const pieces = [message('R', '\0\0\0\0'), message('Z', 'I'), message('E', ended)]
    proxy.onRequest = (_, wire) => {
      wire.mute()
      wire.answer(Buffer.concat(pieces))
    }
    const database = open({ port: proxy.port })
    for (let i = 0; i < 3; i++) expect(codeOf(await failure(ping(database)))).to.equal('datastore-away')
    proxy.onRequest = () => {}
    expect((await ping(database)).rows).to.deep.equal([{ one: 1 }])
  })

  it('says that it was refused, with the SQLSTATE, when a statement is wrong', async () => {
    const error = await failure(sql`select * from nothing`.execute(open().primary))
    expect(codeOf(error)).to.equal('datastore-error')
    expect(error).to.have.property('sqlState', '42P01')
    expect(error.message).to.equal('the datastore refused: relation "nothing" does not exist')
  })

  it('says that a wrong password is refused, not that the datastore is away', async () => {
    const { host, port, user, database } = test
    const wrong = new Database({ host, port, user, password: 'wrong', database }, { logger: silentLogger })
    opened.push(wrong)
    expect(codeOf(await failure(ping(wrong)))).to.equal('datastore-error')
  })

  it('lets a bounded number of callers wait; a full queue is an error, not an absence', async () => {
    const database = open({ poolSize: 1, connectTimeoutMs: 2000 })
    await ping(database)
    const calls = Array.from({ length: 100 }, () => sql`select pg_sleep(0.001)`.execute(database.primary))
    const results = await Promise.allSettled(calls)
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    expect(results.length - refused.length).to.be.within(64, 65)
    for (const error of refused) {
      expect(codeOf(error)).to.equal('datastore-error')
      expect(error.message).to.equal('the datastore is too busy: 64 callers wait for a connection already')
    }
  })

  it('tells how its connections are used, those to a replica apart', async () => {
    const database = open({ poolSize: 2 })
    const done = Promise.withResolvers<void>()
    const work = Array.from({ length: 3 }, () => database.transaction(() => done.promise, { actor: null }))
    await until(() => database.pools().primary?.inUse === 2)
    expect(database.pools()).to.deep.equal({ primary: { inUse: 2, idle: 0, waiting: 1 } })
    done.resolve()
    await Promise.all(work)
    await ping(database)
    expect(database.pools()).to.deep.equal({ primary: { inUse: 0, idle: 2, waiting: 0 } })
    const { user, password, host, port, database: name } = test
    const replicated = open({ readUrl: `postgres://${user}:${password}@${host}:${port}/${name}` })
    await sql`select 1`.execute(replicated.replica)
    const { primary, replica } = replicated.pools()
    expect([primary?.idle, replica?.idle]).to.deep.equal([0, 1])
  })

  it('ends statements and lock waits on the server, before giving up on their answers', async () => {
    const database = open({ queryTimeoutMs: 300 })
    const slow = await failure(sql`select pg_sleep(5)`.execute(database.primary))
    expect(slow).to.have.property('sqlState', '57014')
    await test.query(`insert into consumers (username) values ('locked')`)
    const locked = database.transaction(
      async (trx) => {
        await sql`update consumers set custom_id = '1' where username = 'locked'`.execute(trx)
        const other = open({ queryTimeoutMs: 100 })
        return failure(
          sql`update consumers set custom_id = '2' where username = 'locked'`.execute(other.primary),
        )
      },
      { actor: null },
    )
    expect((await locked).value).to.have.property('sqlState', '55P03')
  })

  it('does not run two statements on a connection at once', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    await open().transaction(
      async (trx) => {
        await Promise.all([1, 2, 3].map((n) => sql`select ${n}::int`.execute(trx)))
      },
      { actor: null },
    )
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', onWarning)
    expect(warnings).to.deep.equal([])
  })
})

/** Postgres' message of an error (protocol 3.0, ErrorResponse). */
function errorResponse(severity: string, sqlState: string): Buffer {
  const fields = Buffer.from(`S${severity}\0C${sqlState}\0Mcould not write to file\0\0`)
  const head = Buffer.alloc(5)
  head.write('E')
  head.writeInt32BE(4 + fields.length, 1)
  return Buffer.concat([head, fields])
}
