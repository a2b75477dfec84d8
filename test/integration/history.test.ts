// The log read as people read it, on a real one.
import { expect } from 'chai'
import type { Database } from '../../src/database/database.ts'
import { History, type HistoryLimits, type HistoryRequest } from '../../src/event-log/history.ts'
import { openDatabase } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('the history of a log', () => {
  let test: TestDatabase
  let database: Database
  /** The head before a test has written anything. */
  let base: number

  beforeEach(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    base = (await read({ size: 0 })).head.position
  })

  afterEach(async () => {
    await database.stop()
    await test.drop()
  })

  const read = (request: Partial<HistoryRequest>, limits?: HistoryLimits) =>
    new History(database, limits).read({ after: -1, size: 1000, ...request })
  const positions = async (request: Partial<HistoryRequest>, limits?: HistoryLimits) =>
    (await read(request, limits)).events.map(({ position }) => position - base)
  const addConsumers = (...names: string[]) =>
    test.query('insert into consumers (username) select unnest($1::text[])', [names])

  it('has every event from the first on, parsed, with its digest', async () => {
    await addConsumers('a', 'b')
    const { events, head, until, firstKept } = await read({})
    expect(events[0]).to.include({ position: 0, operation: 'genesis' })
    expect(events.at(-1)).to.deep.include({
      position: base + 2,
      first: base + 1,
      entity: 'consumers',
      old: null,
    })
    expect(events.at(-1)?.new).to.include({ username: 'b' })
    const rows = await test.query(`select encode(digest, 'hex') as digest from events order by position`)
    expect(events.map(({ digest }) => ({ digest }))).to.deep.equal(rows)
    expect(head).to.deep.equal({ position: base + 2, digest: rows.at(-1).digest })
    expect({ until, firstKept }).to.deep.equal({ until: base + 2, firstKept: 0 })
  })

  it('goes on after a position, whose digest it tells', async () => {
    await addConsumers('a', 'b', 'c')
    const all = await read({})
    const page = await read({ after: base + 1, size: 1 })
    expect(page.events.map(({ position }) => position)).to.deep.equal([base + 2])
    expect(page.until).to.equal(base + 2)
    expect(page.digest).to.equal(all.events.at(-3)?.digest)
    const after = await read({ after: base + 9 })
    expect(after).to.deep.include({ events: [], until: base + 9, digest: null })
  })

  it('is searched for a table and an operation, so far and no further', async () => {
    // Named so that the text of every body has the words that are looked for.
    await addConsumers('apis', 'update')
    await test.query(
      `insert into apis (name, request_path, upstream_url) values ('consumers', '/a', 'http://a')`,
    )
    await test.query(`update consumers set custom_id = username || ' delete'`)
    expect(await positions({ after: base, entity: 'apis' })).to.deep.equal([3])
    expect(await positions({ after: base, operation: 'update' })).to.deep.equal([4, 5])
    expect(await positions({ after: base, entity: 'apis', operation: 'update' })).to.deep.equal([])
    const limits = { searchedMax: 2, pageBytes: 2 ** 20 }
    const short = await read({ after: base, entity: 'apis' }, limits)
    expect(short).to.deep.include({ events: [], until: base + 2 })
    expect(await positions({ after: short.until, entity: 'apis' }, limits)).to.deep.equal([3])
    expect((await read({ after: base + 4, entity: 'apis' }, limits)).until).to.equal(base + 5)
  })

  it('comes in pages of bounded bytes, one event at the least', async () => {
    await addConsumers('a'.repeat(1000), 'b'.repeat(1000), 'c'.repeat(10_000), 'd')
    const limits = { searchedMax: 1000, pageBytes: 3000 }
    const page = await read({ after: base }, limits)
    expect(page.until).to.equal(base + 2)
    expect(await positions({ after: base }, limits)).to.deep.equal([1, 2])
    expect(await positions({ after: base + 2 }, limits)).to.deep.equal([3])
    expect(await positions({ after: base + 3 }, limits)).to.deep.equal([4])
  })

  it('begins with what pruning has left', async () => {
    await addConsumers('a', 'b', 'c')
    await test.query('delete from events where position < $1', [base + 2])
    const page = await read({ size: 1 })
    expect(page).to.include({ firstKept: base + 2, until: base + 2, digest: null })
    expect((await read({ after: base, size: 0 })).until).to.equal(base + 1)
    const limits = { searchedMax: 1, pageBytes: 2 ** 20 }
    expect(await positions({ after: 0, entity: 'consumers' }, limits)).to.deep.equal([2])
  })
})
