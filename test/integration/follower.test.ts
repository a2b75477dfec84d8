// A node in step with a real log: follower, pull and listener together, through faults.
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { until } from '../support/log.ts'
import { atHead, type LogNode, startNode } from '../support/log-node.ts'
import { type TestDatabase, type TestServer, testDatabase, testServer } from '../support/postgres.ts'

const insert = (test: TestDatabase, ...names: string[]) =>
  test.query('insert into consumers (username) select unnest($1::text[])', [names])

describe('following the log', () => {
  let test: TestDatabase
  let node: LogNode

  beforeEach(async () => {
    test = await testDatabase()
  })

  afterEach(async () => {
    await node.stop()
    await test.drop()
  })

  it('applies what many write at once, each event once and in order', async () => {
    node = await startNode(test)
    const before = node.follower.applied().position
    await Promise.all(Array.from({ length: 100 }, (_, i) => insert(test, `a${i}`, `b${i}`)))
    await atHead(node, test)
    const expected = Array.from({ length: 200 }, (_, i) => before + 1 + i)
    expect(node.subscriber.positions()).to.deep.equal(expected)
    expect(node.subscriber.loads).to.deep.equal(['start'])
  })

  it('applies a transaction of 10,000 rows as one step', async function () {
    this.timeout(60_000)
    node = await startNode(test)
    await test.query(`insert into consumers (username) select 'n' || n from generate_series(1, 10000) n`)
    await atHead(node, test)
    expect(node.subscriber.transactions.map((events) => events.length)).to.deep.equal([10_000])
  })

  it('hears of a change made with any client by notification, long before the next heartbeat', async () => {
    node = await startNode(test, { listening: true, heartbeatIntervalMs: 3_600_000 })
    await insert(test, 'by-psql')
    await atHead(node, test)
    expect(node.subscriber.changes()).to.deep.equal(['create consumers'])
  })

  it('reads what it wrote once it has reached it', async () => {
    node = await startNode(test, { heartbeatIntervalMs: 3_600_000 })
    const { stamp } = await node.database.transaction(
      (trx) =>
        trx
          .insertInto('consumers' as never)
          .values({ username: 'own' } as never)
          .execute(),
      { actor: null },
    )
    await node.follower.reach(stamp.position, 5000)
    expect(node.follower.applied()).to.deep.equal(stamp)
  })

  it('loads anew when the tail of the log was lost', async () => {
    node = await startNode(test)
    await insert(test, 'kept')
    await insert(test, 'lost')
    await atHead(node, test)
    await test.query(`begin; alter table events disable trigger refuse_hole;
      delete from events where position = (select max(position) from events);
      alter table events enable always trigger refuse_hole; commit`)
    await until(() => node.follower.counts().loads['other-history'] === 1)
    await atHead(node, test)
    expect(node.subscriber.loads).to.deep.equal(['start', 'other-history'])
  })

  it('loads anew when the log went another way at the same position', async () => {
    node = await startNode(test)
    await insert(test, 'one')
    await atHead(node, test)
    await test.query(`begin; alter table events disable trigger refuse_hole;
      delete from events where position = (select max(position) from events);
      alter table events enable always trigger refuse_hole;
      insert into consumers (username) values ('another'); commit`)
    await until(() => node.follower.counts().loads['other-history'] === 1)
    await atHead(node, test)
    expect(node.subscriber.loads).to.deep.equal(['start', 'other-history'])
  })

  it('loads anew on a reset event, at a stamp at or past it', async () => {
    node = await startNode(test)
    await test.query(`select append_event('log', 'reset', null, null, 1)`)
    await atHead(node, test)
    await insert(test, 'after')
    await atHead(node, test)
    expect(node.subscriber.loads).to.deep.equal(['start', 'reset'])
    expect(node.subscriber.changes()).to.deep.equal(['create consumers'])
  })

  it('loads anew when what it needs was pruned', async () => {
    node = await startNode(test, { heartbeatIntervalMs: 3_600_000 })
    await insert(test, 'one')
    await insert(test, 'two')
    await test.query('delete from events where position < (select max(position) from events)')
    node.follower.nudge()
    await atHead(node, test)
    expect(node.subscriber.loads).to.deep.equal(['start', 'pruned'])
  })
})

describe('a datastore that goes away', () => {
  let server: TestServer
  let test: TestDatabase

  before(async function () {
    this.timeout(60_000)
    server = await testServer()
    test = await server.database()
  })

  after(() => server.remove())

  let node: LogNode

  beforeEach(async function () {
    this.timeout(60_000)
    node = await startNode(test, { listening: true })
    await until(() => node.pull.reachability().reachable)
  })

  afterEach(() => node.stop())

  it('is followed again by itself when it is back, whether it stopped or crashed', async function () {
    this.timeout(60_000)
    for (const [i, end] of (['stop', 'kill'] as const).entries()) {
      await server[end]()
      await until(() => !node.pull.reachability().reachable)
      const applied = node.follower.applied()
      node.follower.nudge()
      await server.start()
      // The test server commits asynchronously, and so would lose this one in the crash that comes next.
      const write = `begin; set local synchronous_commit = on; insert into consumers (username) values ('${end}'); commit`
      await until(() => succeeds(test.query(write)))
      await atHead(node, test)
      expect(node.follower.applied().position).to.equal(applied.position + 1)
      expect(node.subscriber.transactions).to.have.length(i + 1)
      await until(() => node.pull.reachability().reachable)
    }
    expect(node.subscriber.loads).to.deep.equal(['start'])
  })

  it('gets no backend from a node that was stopped meanwhile', async function () {
    this.timeout(60_000)
    await server.stop()
    await until(() => !node.pull.reachability().reachable)
    await node.stop()
    await server.start()
    await until(() => succeeds(test.query('select 1')))
    // Longer than the first retries would take.
    await systemClock.sleep(700)
    const left = await test.query(`select from pg_stat_activity where application_name like 'troop%'`)
    expect(left).to.deep.equal([])
  })
})

function succeeds(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(
    () => true,
    () => false,
  )
}
