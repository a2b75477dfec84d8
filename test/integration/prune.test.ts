// What goes from the log and what stays, on a real one; and a node whose position went.
import { expect } from 'chai'
import pg from 'pg'
import { PostgresRegistry } from '../../src/cluster/membership/postgres-registry.ts'
import type { Database } from '../../src/database/database.ts'
import { PostgresEventLog, pageLimits } from '../../src/event-log/postgres-event-log.ts'
import type { Retention } from '../../src/event-log/prune.ts'
import { openDatabase, until } from '../support/log.ts'
import { atHead, startNode } from '../support/log-node.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

/** Lets nothing go that the tests write. */
const everything: Retention = { keepDays: 90, keepEvents: 1_000_000 }
/** Lets all go that may. */
const nothing: Retention = { keepDays: 90, keepEvents: 0 }
const stepEvents = 1000

describe('pruning the log', () => {
  let test: TestDatabase
  let database: Database
  let log: PostgresEventLog
  /** The newest event before the test wrote any. */
  let start: number
  const clients: pg.Client[] = []

  beforeEach(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    log = new PostgresEventLog(database)
    start = (await log.head()).position
  })

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.end()))
    await database.stop()
    await test.drop()
  })

  /** Writes one transaction for each of `sizes`, with as many events. */
  async function write(...sizes: number[]): Promise<void> {
    for (const size of sizes) {
      await test.query(
        'insert into consumers (custom_id) select gen_random_uuid() from generate_series(1, $1)',
        [size],
      )
    }
  }

  const ones = (count: number) => Array<number>(count).fill(1)

  /** Makes the events at `positions` as old as `age`. */
  async function grow(positions: number[], age: string): Promise<void> {
    await test.query('alter table events disable trigger refuse_change')
    await test.query('update events set at = now() - $2::interval where position = any($1)', [positions, age])
    await test.query('alter table events enable always trigger refuse_change')
  }

  /** Registers a node, in one event, that says that it has applied the log up to `applied`. */
  async function register(name: string, applied: number | null): Promise<void> {
    await test.query(
      `insert into nodes (name, cluster_listening_address, status, applied, ttl_on_failure, version)
       values ($1, '10.0.0.1:7946', 'alive', $2, 60, '0.1.0')`,
      [name, applied],
    )
  }

  async function positions(): Promise<number[]> {
    const rows = await test.query('select position::int from events order by position')
    return rows.map(({ position }) => position)
  }

  async function oldest(): Promise<number> {
    return (await positions())[0] as number
  }

  async function connect(): Promise<pg.Client> {
    const { host, port, user, password, database } = test
    const client = new pg.Client({ host, port, user, password, database })
    await client.connect()
    clients.push(client)
    return client
  }

  it('removes events that are older than keepDays, and no younger ones', async () => {
    await write(...ones(3))
    await grow([start + 1], '91 days')
    await grow([start + 2], '89 days')
    expect(await log.prune(everything, stepEvents)).to.equal(0)
    await grow([...Array(start + 1).keys()], '91 days')
    expect(await log.prune(everything, stepEvents)).to.equal(start + 2)
    expect(await positions()).to.deep.equal([start + 2, start + 3])
    expect(await log.prune({ ...everything, keepDays: 88.5 }, stepEvents)).to.equal(1)
  })

  it('keeps an old event that lies behind a young one', async () => {
    await write(...ones(4))
    await grow([...Array(start + 1).keys(), start + 2, start + 3], '91 days')
    await log.prune(everything, stepEvents)
    expect(await oldest()).to.equal(start + 1)
  })

  it('removes events beyond the newest keepEvents, however young', async () => {
    await write(...ones(10))
    expect(await log.prune({ ...everything, keepEvents: start + 11 }, stepEvents)).to.equal(0)
    expect(await log.prune({ ...everything, keepEvents: 4 }, stepEvents)).to.equal(start + 7)
    expect(await positions()).to.deep.equal([start + 7, start + 8, start + 9, start + 10])
  })

  it('keeps all when told to keep more than there can be', async () => {
    await write(...ones(3))
    await grow([0, 1], '20 years')
    for (const most of [1e15, 1e300])
      expect(await log.prune({ keepDays: most, keepEvents: most }, stepEvents)).to.equal(0)
  })

  it('keeps the newest event, even if nothing is to be kept', async () => {
    await write(...ones(3))
    await grow(await positions(), '91 days')
    await log.prune(nothing, stepEvents)
    expect(await positions()).to.deep.equal([start + 3])
    await write(1)
    expect(await positions()).to.deep.equal([start + 3, start + 4])
  })

  it('keeps what a registered node has not applied, and the event up to which it has', async () => {
    await write(...ones(3))
    const applied = await log.head()
    await write(...ones(3))
    await register('slow', applied.position)
    await register('quick', applied.position + 5)
    await log.prune(nothing, stepEvents)
    expect(await oldest()).to.equal(applied.position)
    expect(await log.read(applied)).to.have.property('kind', 'events')
    await test.query(`update nodes set applied = $1 where name = 'slow'`, [applied.position + 2])
    await log.prune(nothing, stepEvents)
    expect(await oldest()).to.equal(applied.position + 2)
  })

  it('removes nothing while a node has not said what it has applied', async () => {
    await write(...ones(3))
    await register('known', start + 3)
    await register('new', null)
    expect(await log.prune(nothing, stepEvents)).to.equal(0)
    expect(await oldest()).to.equal(0)
  })

  it('waits for a node that is leaving, and for none that has left or is expired', async () => {
    await write(...ones(3))
    await register('a', start + 1)
    await register('b', start + 2)
    await register('c', start + 3)
    await test.query(`update nodes set status = 'left' where name = 'a'`)
    await test.query(`update nodes set last_seen = now() - interval '61 seconds' where name = 'b'`)
    await test.query(`update nodes set status = 'leaving' where name = 'c'`)
    await log.prune(nothing, stepEvents)
    expect(await oldest()).to.equal(start + 3)
    await test.query(`update nodes set status = 'left' where name = 'c'`)
    await log.prune(nothing, stepEvents)
    expect(await positions()).to.deep.equal([(await log.head()).position])
  })

  it('keeps transactions whole, whatever keeps a part of them', async () => {
    await write(2, 5, 3)
    const second = start + 3
    const third = start + 8
    await grow([second + 2, second + 3, second + 4, third, third + 1, third + 2], '1 day')
    await grow([...Array(second + 2).keys()], '91 days')
    await log.prune(everything, stepEvents)
    expect(await oldest(), 'by age').to.equal(second)
    await log.prune({ ...everything, keepEvents: 4 }, stepEvents)
    expect(await oldest(), 'by count').to.equal(second)
    await register('at the end of the second', third - 1)
    await log.prune(nothing, stepEvents)
    expect(await oldest(), 'for a node').to.equal(second)
    await test.query('delete from nodes')
    await write(4)
    await log.prune(nothing, stepEvents)
    expect(await positions(), 'the newest').to.have.length(4)
  })

  /** Removes all that may go, and says how many events went in each step. */
  async function steps(log: PostgresEventLog, eventsMax: number, retention = nothing): Promise<number[]> {
    const removed: number[] = []
    while (removed.at(-1) !== 0) removed.push(await log.prune(retention, eventsMax))
    return removed
  }

  it('goes in steps, each ending with a transaction', async () => {
    await write(...ones(9 - start), 4, 1, 25, ...ones(12), 1)
    // 12 would cut the transaction of 4, the one of 25 is bigger than a step, the last event stays.
    expect(await steps(log, 12)).to.deep.equal([10, 5, 25, 12, 0])
  })

  it('takes a transaction apart only if it is too big to be pulled whole', async () => {
    await write(...ones(9 - start), 20, 25, ...ones(5))
    const small = new PostgresEventLog(database, { ...pageLimits, transactionEventsMax: 20 })
    expect(await steps(small, 5)).to.deep.equal([5, 5, 20, 20, 5, 4, 0])
    await write(25)
    expect(await steps(small, 5, { ...everything, keepEvents: 3 })).to.deep.equal([1, 20, 2, 0])
  })

  it('is done by one at a time, and holds up nobody who writes', async () => {
    await write(...ones(5))
    const holder = await connect()
    await holder.query('begin; select from events where position = 0 for update')
    const pruning = log.prune(nothing, stepEvents)
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await until(async () => (await test.query(waiting)).length === 1)
    expect(await log.prune(nothing, stepEvents), 'the second').to.equal(0)
    const writer = await connect()
    await writer.query(`set lock_timeout = '2s'; insert into consumers (username) values ('meanwhile')`)
    await holder.query('commit')
    // What was newest when it began.
    expect(await pruning).to.equal(start + 5)
    expect(await positions()).to.deep.equal([start + 5, start + 6])
  })

  it("does not wait for the log's own lock", async () => {
    await write(...ones(5))
    const writer = await connect()
    await writer.query(
      `begin; insert into consumers (username) values ('slow'); set constraints all immediate`,
    )
    expect(await log.prune(nothing, stepEvents)).to.equal(start + 5)
    await writer.query('commit')
    expect(await positions()).to.deep.equal([start + 5, start + 6])
  })

  it('removes each event once when two do it at the same time, while others write', async () => {
    await write(...ones(200))
    const prune = async () => {
      let removed = 0
      while ((await oldest()) < start + 200) removed += await log.prune({ ...nothing, keepEvents: 5 }, 7)
      return removed
    }
    const [one, other] = await Promise.all([prune(), prune(), write(...ones(100))])
    const left = await positions()
    expect(one + other).to.equal(left[0])
    expect(left).to.deep.equal(Array.from({ length: left.length }, (_, i) => (left[0] as number) + i))
    expect(left.at(-1)).to.equal(start + 300)
  })

  it('may take the genesis event: who the cluster is stands elsewhere by then', async () => {
    const registry = new PostgresRegistry(database)
    const credentials = await registry.credentials('secret')
    const [genesis] = await test.query(
      `select body::jsonb ->> 'cluster' as id from events where position = 0`,
    )
    expect(credentials.id).to.equal(genesis.id)
    await write(1)
    await log.prune(nothing, stepEvents)
    expect(await registry.credentials('other')).to.deep.equal(credentials)
    const node = { name: 'a', address: '10.0.0.1:1', version: '1', ttlSeconds: 60, refusesAfterMs: null }
    const life = await registry.register(node, undefined)
    expect(life).to.equal(start + 2)
  })

  it('makes a node whose position is gone load first and jump then', async () => {
    const node = await startNode(test, { heartbeatIntervalMs: 3_600_000 })
    try {
      const before = node.follower.applied()
      await write(2, 2)
      await log.prune(nothing, stepEvents)
      const loading = Promise.withResolvers<void>()
      const loaded = Promise.withResolvers<void>()
      node.subscriber.onLoad = () => {
        loading.resolve()
        return loaded.promise
      }
      node.follower.nudge()
      await loading.promise
      expect(node.follower.applied(), 'while it loads').to.deep.equal(before)
      loaded.resolve()
      await atHead(node, test)
      expect(node.subscriber.loads).to.deep.equal(['start', 'pruned'])
      expect(node.subscriber.positions(), 'applied one by one').to.deep.equal([])
      await write(1)
      node.follower.nudge()
      await atHead(node, test)
      expect(node.subscriber.positions()).to.deep.equal([start + 5])
    } finally {
      await node.stop()
    }
  })
})
