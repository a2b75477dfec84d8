// Counting for all nodes in a real datastore.
import { once } from 'node:events'
import { MessageChannel } from 'node:worker_threads'
import { expect } from 'chai'
import { sql } from 'kysely'
import { type Period, periods } from '../../src/base/calendar.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { Database } from '../../src/database/database.ts'
import type { BatchAsk } from '../../src/node/counters/batch.ts'
import { ClusterCounters } from '../../src/node/counters/cluster-counters.ts'
import { countingOver, serveCounting } from '../../src/node/counters/counting-link.ts'
import { PostgresCounters } from '../../src/node/counters/postgres-counters.ts'
import { entitiesOf } from '../../src/node/plugins.ts'
import { Sweeper } from '../../src/node/sweeper.ts'
import type { Tally } from '../../src/plugins/plugin.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import { anApi, askFor, countingSuite, otherApi } from '../support/counting-suite.ts'
import { openDatabase, parts, until } from '../support/log.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('cluster counters on a real datastore', function () {
  this.timeout(60_000)
  let test: TestDatabase
  let database: Database
  /** Stands unless a test moves it: nothing is too late, and nothing that was said is forgotten. */
  let clock: ManualClock
  let away: boolean

  before(async () => {
    test = await testDatabase()
    database = openDatabase(test)
  })
  after(async () => {
    await database.stop()
    await test.drop()
  })
  beforeEach(async () => {
    await test.query('delete from ratelimiting_metrics')
    clock = new ManualClock()
    away = false
  })

  const agentOf = (on = database) => new PostgresCounters({ database: on, isAway: () => away, clock })
  const workerOf = (agent: PostgresCounters) =>
    new ClusterCounters({ count: (asks) => agent.count(asks), clock, logger: silentLogger })

  /** What is counted becomes that of the window before. */
  async function pass(period: Period): Promise<void> {
    for (const [i, shorter] of periods.slice(0, periods.indexOf(period) + 1).entries()) {
      await test.query(
        `update ratelimiting_metrics set windows[${i + 1}] = windows[${i + 1}] - interval '1 ${shorter}'`,
      )
    }
    clock.advance(1000)
  }

  describe('count', () => countingSuite(async () => ({ counting: workerOf(agentOf()), pass })))

  it('of many requests to several nodes at once exactly as many pass as may', async () => {
    const others = [openDatabase(test), openDatabase(test)]
    const workers = [database, ...others].flatMap((on) => {
      const agent = agentOf(on)
      return [workerOf(agent), workerOf(agent)]
    })
    const tallies = await Promise.all(
      Array.from({ length: 600 }, (_, i) => (workers[i % 6] as ClusterCounters).take(askFor({ year: 100 }))),
    )
    const places = tallies.filter(({ counted }) => counted).map(({ used }) => used.year)
    expect(places.sort((a, b) => a - b)).deep.equal(Array.from({ length: 100 }, (_, i) => i + 1))
    await Promise.all(others.map((one) => one.stop()))
  })

  it('batches with the same callers in any order do not wait for each other in a ring', async () => {
    const other = openDatabase(test)
    const names = Array.from({ length: 40 }, (_, i) => `caller-${i}`)
    const counting = [
      { agent: agentOf(), order: names },
      { agent: agentOf(other), order: names.toReversed() },
    ].map(async ({ agent, order }) => {
      for (let round = 0; round < 20; round++) {
        const answers = await agent.count(order.map((identifier) => askOf({ identifier })))
        expect(answers.every(({ granted }) => granted === 1)).equal(true)
      }
    })
    await Promise.all(counting)
    const rows = await test.query('select used[6]::int as used from ratelimiting_metrics')
    expect(rows.map(({ used }) => used)).deep.equal(names.map(() => 40))
    await other.stop()
  })

  it('answers come in the order of the asks, also of several for one caller', async () => {
    const answers = await agentOf().count([
      askOf({ api: otherApi, identifier: 'z', wanted: 3 }),
      askOf({ identifier: 'a', wanted: 2 }),
      askOf({ identifier: 'a', wanted: 0, forced: 5 }),
      askOf({ identifier: 'b', limits: [null, null, null, null, null, 4], wanted: 9 }),
    ])
    expect(answers.map(({ granted, used }) => [granted, used[5]])).deep.equal([
      [3, 3],
      [2, 2],
      [0, 7],
      [4, 4],
    ])
    for (const { leftMs } of answers) {
      for (const [i, left] of leftMs.entries())
        expect(left)
          .greaterThan(0)
          .and.at.least(leftMs[i - 1] ?? 0)
    }
  })

  it('what was let through already is counted whatever the limits say, and before the rest', async () => {
    const limits = [null, null, null, null, null, 5]
    const [answer] = await agentOf().count([askOf({ limits, forced: 7, wanted: 1 })])
    expect(answer).deep.include({ granted: 0, used: [7, 7, 7, 7, 7, 7] })
  })

  it('nothing that is counted is an event', async () => {
    const head = () => test.query('select max(position) from events')
    const before = await head()
    await agentOf().count([askOf({})])
    expect(await head()).deep.equal(before)
    expect(await test.query('select from ratelimiting_metrics')).length(1)
  })

  it('a batch goes over the port of a worker and back, also when it fails', async () => {
    const { port1, port2 } = new MessageChannel()
    serveCounting(port1, (asks) => agentOf().count(asks))
    const count = countingOver(port2)
    expect((await count([askOf({ wanted: 2 })]))[0]).deep.include({ granted: 2 })
    away = true
    const error = await count([askOf({})]).catch((error) => error)
    expect(error).include({ code: 'counters-away' })
    expect(error.message).match(/the datastore does not answer/)
    const closed = once(port1, 'close')
    port2.close()
    await closed
  })

  it('a statement that takes too long is an error for those who wait, and nobody joins them', async () => {
    const agent = agentOf()
    await agent.count([askOf({})])
    const release = await lockTable()
    const outcome = (counted: Promise<unknown>) => counted.catch(({ code }) => code)
    const waiting = [outcome(agent.count([askOf({})])), outcome(agent.count([askOf({})]))]
    clock.advance(2000)
    expect(await Promise.all(waiting)).deep.equal(['counters-away', 'counters-away'])
    expect(await outcome(agent.count([askOf({})]))).equal('counters-away')
    await release()
    // The statement ends, whoever waits for it.
    await until(async () => Array.isArray(await outcome(agent.count([askOf({ wanted: 0 })]))))
    expect((await agent.count([askOf({ wanted: 0 })]))[0]?.used[5]).equal(2)
  })

  it('however many ask a node, one statement is under way', async () => {
    const agent = agentOf()
    await agent.count([askOf({})])
    const release = await lockTable()
    const asked = Array.from({ length: 50 }, () => agent.count([askOf({})]))
    const active = () =>
      test.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
    await until(async () => (await active()).length > 0)
    expect(await active()).length(1)
    await release()
    const used = (await Promise.all(asked)).map(([answer]) => answer?.used[5])
    expect(used).deep.equal(Array.from({ length: 50 }, (_, i) => i + 2))
  })

  it('an error of the datastore costs its own batch alone', async () => {
    const agent = agentOf()
    const outcomes = await Promise.allSettled([
      agent.count([askOf({ table: 'absent' })]),
      agent.count([askOf({})]),
    ])
    expect(outcomes.map(({ status }) => status)).deep.equal(['rejected', 'fulfilled'])
  })

  it('a worker waits with the others of its node, and is told its own share', async () => {
    const agent = agentOf()
    const workers = [workerOf(agent), workerOf(agent), workerOf(agent)]
    const tallies = (await Promise.all(
      workers.flatMap((worker) => [worker.take(askFor({ year: 4 })), worker.take(askFor({ year: 4 }))]),
    )) as Tally[]
    expect(tallies.filter(({ counted }) => counted)).length(4)
  })

  describe('that are over', () => {
    const sweeper = () =>
      new Sweeper({ ...parts, clock: systemClock, database, entities: () => entitiesOf(shippedPlugins) })
    const left = async () =>
      (await test.query('select identifier from ratelimiting_metrics order by 1')).map(
        ({ identifier }) => identifier,
      )

    it('are removed once the window of the longest limit has ended [contract 153]', async () => {
      const agent = agentOf()
      await agent.count([
        askOf({ identifier: 'second', limits: [5, null, null, null, null, null] }),
        askOf({ identifier: 'year', limits: [5, null, null, null, null, 9] }),
      ])
      await until(async () => {
        await sweeper().sweep()
        return (await left()).length === 1
      })
      expect(await left()).deep.equal(['year'])
    })

    it('live as long as the limits of their last count say, longer or shorter than before [contract 153]', async () => {
      const agent = agentOf()
      const lifetime = async (limits: BatchAsk['limits']) => {
        await agent.count([askOf({ identifier: 'changing', limits })])
        const [row] = await test.query(
          `select extract(epoch from expires_at - now())::float8 as s from ratelimiting_metrics
           where identifier = 'changing'`,
        )
        return Number(row?.s)
      }
      const day = [null, null, null, 9, null, null]
      const year = [null, null, null, null, null, 9]
      const [short, long] = [await lifetime(day), await lifetime(year)]
      expect(short).within(0, 86_400)
      // On the last day of the year both end at once.
      expect(long).least(short - 1)
      expect(await lifetime([9, null, null, null, null, null])).most(1)
      await test.query('delete from ratelimiting_metrics')
    })

    it('are removed in bounded steps, around what another has locked', async () => {
      await test.query(
        `insert into ratelimiting_metrics
         select '${anApi}', n::text, '{}', '{0,0,0,0,0,0}', now() - interval '1 hour' from generate_series(1, 2500) n`,
      )
      const release = await lockRow('77')
      await sweeper().sweep()
      expect(await left()).deep.equal(['77'])
      await release()
      await sweeper().sweep()
      expect(await left()).deep.equal([])
    })
  })

  function askOf(ask: Partial<BatchAsk>): BatchAsk {
    const limits = [null, null, null, null, null, 1_000_000]
    const { table, api, identifier } = askFor({})
    return { ...{ table, api, identifier, limits, wanted: 1, forced: 0 }, ...ask }
  }

  /** Holds a lock until the function that it returns is called. */
  async function lock(statement: string): Promise<() => Promise<void>> {
    const other = openDatabase(test, { poolSize: 1 })
    const released = Promise.withResolvers<void>()
    const held = Promise.withResolvers<void>()
    const done = other.primary.transaction().execute(async (trx) => {
      await sql.raw(statement).execute(trx)
      held.resolve()
      await released.promise
    })
    await held.promise
    return async () => {
      released.resolve()
      await done
      await other.stop()
    }
  }

  const lockTable = () => lock('lock table ratelimiting_metrics in access exclusive mode')
  const lockRow = (identifier: string) =>
    lock(`select from ratelimiting_metrics where identifier = '${identifier}' for update`)
})
