// rate-limiting on real sockets; its configuration is tested with the Admin API, its counters by themselves.
import { expect } from 'chai'
import { type Period, windowEndsAt } from '../../src/base/calendar.ts'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { Database } from '../../src/database/database.ts'
import { ClusterCounters } from '../../src/node/counters/cluster-counters.ts'
import { LocalCounters, localCountersBuffer } from '../../src/node/counters/local-counters.ts'
import { PostgresCounters } from '../../src/node/counters/postgres-counters.ts'
import { definePlugin, type Plugin } from '../../src/plugins/plugin.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { openDatabase, parts, until } from '../support/log.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { type Answered, ask } from '../support/raw-http.ts'

describe('rate-limiting', () => {
  let test: TestDatabase
  let database: Database
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row
  /** Of the counters of this node. */
  let clock: ManualClock
  let away: boolean

  before(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    upstream = await new Upstream().start()
  })
  after(async () => {
    await upstream.stop()
    await database.stop()
    await test.drop()
  })

  async function start(options: TestGatewayOptions = {}): Promise<void> {
    clock = new ManualClock()
    clock.advance(Date.parse('2024-01-15T12:34:56Z'))
    away = false
    const buffer = localCountersBuffer(1000)
    const agent = new PostgresCounters({ database, isAway: () => away, clock: parts.clock })
    const counting = {
      local: new LocalCounters({ buffer, owner: 1, clock, logger: silentLogger }),
      cluster: new ClusterCounters({ ...parts, count: (asks) => agent.count(asks) }),
    }
    gateway = await new TestGateway({ counting, ...options }).start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  }

  beforeEach(async () => {
    await test.query('delete from ratelimiting_metrics')
    await start()
  })

  afterEach(() => gateway.stop())

  const limit = (config: JsonObject, consumer: Row | null = null) =>
    gateway.addPlugin(api, 'rate-limiting', { async: false, continue_on_error: false, ...config }, consumer)
  const get = (...headers: string[]) => ask(gateway.port, '/', { headers: ['Host', 'test', ...headers] })
  const getAs = (key: string) => get('apikey', key)
  const change = (row: Row, config: JsonObject) =>
    gateway.catalog.put('plugins', { ...row, config: { ...(row.config as JsonObject), ...config } })

  /** Status, then limit and remainder of each period. */
  const told = ({ status, headers }: Answered, ...shown: Period[]) => [
    status,
    ...shown.map((period) => [
      Number(headers[`x-ratelimit-limit-${period}`]),
      Number(headers[`x-ratelimit-remaining-${period}`]),
    ]),
  ]
  const shows = ({ rawHeaders }: Answered) => rawHeaders.filter((name) => /^x-ratelimit/i.test(name))

  /** Identifies consumers by key. */
  function withKeys(...names: string[]): Row[] {
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    return names.map((name) => {
      const consumer = gateway.addConsumer(name)
      gateway.addKey(consumer, name)
      return consumer
    })
  }

  for (const policy of ['local', 'cluster'] as const) {
    describe(`with the policy ${policy}`, () => {
      it('an address may send so many, is told what is left, and is then refused [contract 358]', async () => {
        limit({ day: 6, policy })
        for (let left = 5; left >= 0; left--) expect(told(await get(), 'day')).deep.equal([200, [6, left]])
        const asked = upstream.requests
        const refused = await get()
        expect(told(refused, 'day')).deep.equal([429, [6, 0]])
        expect(refused.body).equal('{"message":"API rate limit exceeded"}\n')
        expect(refused.headers['content-type']).equal('application/json; charset=utf-8')
        expect(upstream.requests).equal(asked)
      })

      it('the one of two limits that is used up shows 0, the other what is left [contract 359]', async () => {
        limit({ day: 3, month: 5, policy })
        const answers = []
        for (let i = 0; i < 5; i++) answers.push(told(await get(), 'day', 'month'))
        expect(answers).deep.equal([
          [200, [3, 2], [5, 4]],
          [200, [3, 1], [5, 3]],
          [200, [3, 0], [5, 2]],
          [429, [3, 0], [5, 2]],
          [429, [3, 0], [5, 2]],
        ])
      })

      it('consumers are counted each by itself, whichever credential they use [contract 360]', async () => {
        const [bob] = withKeys('bob', 'eve')
        gateway.addKey(bob as Row, 'bobs other key')
        limit({ day: 2, policy })
        expect(told(await getAs('bob'), 'day')).deep.equal([200, [2, 1]])
        expect(told(await getAs('bobs other key'), 'day')).deep.equal([200, [2, 0]])
        expect(told(await getAs('bob'), 'day')).deep.equal([429, [2, 0]])
        expect(told(await getAs('eve'), 'day')).deep.equal([200, [2, 1]])
      })

      it('a consumer’s own limit takes the place of the API’s, or stands alone [contract 361]', async () => {
        const [bob] = withKeys('bob', 'eve')
        const whole = limit({ day: 2, policy })
        limit({ month: 4, policy }, bob)
        const answered = await getAs('bob')
        expect(told(answered, 'month')).deep.equal([200, [4, 3]])
        expect(shows(answered)).length(2)
        expect(told(await getAs('eve'), 'day')).deep.equal([200, [2, 1]])
        gateway.catalog.remove('plugins', ({ id }) => id === whole.id)
        for (const left of [2, 1, 0]) expect(told(await getAs('bob'), 'month')).deep.equal([200, [4, left]])
        expect((await getAs('bob')).status).equal(429)
        expect(shows(await getAs('eve'))).deep.equal([])
      })

      it('async counts the same when there is time between requests [contract 362]', async () => {
        limit({ day: 3, async: true, policy })
        const stored = async () =>
          (await test.query('select used[6]::int from ratelimiting_metrics'))[0]?.used
        for (const left of [2, 1, 0]) {
          expect(told(await get(), 'day')).deep.equal([200, [3, left]])
          if (policy === 'cluster') await until(async () => (await stored()) === 3 - left)
        }
        expect(told(await get(), 'day')).deep.equal([429, [3, 0]])
      })

      it('of 200 requests at the same time exactly as many pass as may', async () => {
        limit({ day: 50, year: 500, policy })
        const answers = await Promise.all(Array.from({ length: 200 }, () => get()))
        const passed = answers.filter(({ status }) => status === 200)
        const left = passed.map(({ headers }) => Number(headers['x-ratelimit-remaining-day']))
        expect(left.sort((a, b) => a - b)).deep.equal(Array.from({ length: 50 }, (_, i) => i))
        expect(answers.filter(({ status }) => status === 429)).length(150)
      })
    })
  }

  it('the header names end in the period as it is configured', async () => {
    limit({ second: 5, day: 10 })
    expect(shows(await get())).deep.equal([
      'X-RateLimit-Limit-second',
      'X-RateLimit-Remaining-second',
      'X-RateLimit-Limit-day',
      'X-RateLimit-Remaining-day',
    ])
  })

  it('what the upstream says of its own limits gives way', async () => {
    upstream.answer = (_, response) =>
      response.writeHead(200, { 'X-RateLimit-Limit-Day': '1', 'X-RateLimit-Limit-Week': '7' }).end()
    limit({ day: 6 })
    const answered = await get()
    upstream.answer = undefined
    expect(answered.headers).include({ 'x-ratelimit-limit-day': '6', 'x-ratelimit-limit-week': '7' })
  })

  it('a window that ends lets requests pass again, while the longer one goes on [contract 367]', async () => {
    limit({ second: 1, minute: 2, policy: 'local' })
    const pass = (period: Period) => clock.advance(windowEndsAt(period, clock.now()) - clock.now())
    expect(told(await get(), 'second', 'minute')).deep.equal([200, [1, 0], [2, 1]])
    expect((await get()).status).equal(429)
    pass('second')
    expect(told(await get(), 'second', 'minute')).deep.equal([200, [1, 0], [2, 0]])
    pass('second')
    expect(told(await get(), 'second', 'minute')).deep.equal([429, [1, 1], [2, 0]])
    pass('minute')
    expect((await get()).status).equal(200)
  })

  it('the nodes count together unless the policy is local', async () => {
    limit({ day: 1 })
    expect((await get()).status).equal(200)
    await gateway.stop()
    await start()
    const other = limit({ day: 1 })
    expect((await get()).status).equal(429)
    change(other, { policy: 'local' })
    expect((await get()).status).equal(200)
  })

  describe('counts by', () => {
    beforeEach(async () => {
      await gateway.stop()
      await start({ trustedIps: ['127.0.0.1'] })
      const [bob] = withKeys('bob', 'eve')
      gateway.addKey(bob as Row, 'other')
    })

    const statuses = async (...requests: [key: string, address: string][]) => {
      const answers = []
      for (const [key, address] of requests) {
        answers.push((await get('apikey', key, 'X-Forwarded-For', address)).status)
      }
      return answers
    }

    it('consumer, wherever they call from', async () => {
      limit({ day: 1, policy: 'local', limit_by: 'consumer' })
      expect(await statuses(['bob', '10.0.0.1'], ['other', '10.0.0.2'], ['eve', '10.0.0.1'])).deep.equal([
        200, 429, 200,
      ])
    })

    it('credential, several of one consumer apart', async () => {
      limit({ day: 1, policy: 'local', limit_by: 'credential' })
      expect(await statuses(['bob', '10.0.0.1'], ['other', '10.0.0.1'], ['bob', '10.0.0.2'])).deep.equal([
        200, 200, 429,
      ])
    })

    it('address, whoever calls', async () => {
      limit({ day: 1, policy: 'local', limit_by: 'ip' })
      expect(await statuses(['bob', '10.0.0.1'], ['eve', '10.0.0.1'], ['bob', '10.0.0.2'])).deep.equal([
        200, 429, 200,
      ])
    })
  })

  it('who is not known is told the limit of the API, not that of a consumer [contract 115]', async () => {
    limit({ hour: 1, policy: 'local' })
    limit({ hour: 10, policy: 'local' }, gateway.addConsumer('bob'))
    expect(told(await get(), 'hour')).deep.equal([200, [1, 0]])
  })

  it('a consumer’s own limit that is deleted or disabled leaves the API’s [contract 82, 83]', async () => {
    const [bob] = withKeys('bob')
    limit({ hour: 5, policy: 'local' })
    const own = limit({ hour: 3, policy: 'local' }, bob)
    expect(told(await getAs('bob'), 'hour')).deep.equal([200, [3, 2]])
    gateway.catalog.put('plugins', { ...own, enabled: false })
    expect(told(await getAs('bob'), 'hour')).deep.equal([200, [5, 3]])
    gateway.catalog.put('plugins', own)
    expect(told(await getAs('bob'), 'hour')).deep.equal([200, [3, 0]])
    gateway.catalog.remove('plugins', ({ id }) => id === own.id)
    expect(told(await getAs('bob'), 'hour')).deep.equal([200, [5, 1]])
  })

  it('one that is disabled limits nothing [contract 84]', async () => {
    const row = limit({ hour: 1, policy: 'local' })
    await get()
    expect((await get()).status).equal(429)
    gateway.catalog.put('plugins', { ...row, enabled: false })
    const answered = await get()
    expect(answered.status).equal(200)
    expect(shows(answered)).deep.equal([])
  })

  it('what an earlier plugin refuses is not counted, and told nothing', async () => {
    withKeys('bob')
    limit({ hour: 1, policy: 'local' })
    for (let i = 0; i < 3; i++) {
      const answered = await get()
      expect(answered.status).equal(401)
      expect(shows(answered)).deep.equal([])
    }
    expect((await getAs('bob')).status).equal(200)
  })

  describe('when the counters are gone', () => {
    const failures = {
      'the datastore is away': async () => {
        away = true
      },
      'the table is gone': async () => {
        await test.query('alter table ratelimiting_metrics rename to renamed')
      },
    }
    afterEach(async () => {
      await test.query('alter table if exists renamed rename to ratelimiting_metrics')
    })

    for (const [name, fail] of Object.entries(failures)) {
      it(`as ${name}, requests are answered 500 [contract 363]`, async () => {
        limit({ day: 5 })
        expect((await get()).status).equal(200)
        await fail()
        const answered = await get()
        expect(answered.status).equal(500)
        expect(answered.body).equal('{"message":"An unexpected error occurred"}\n')
        expect(shows(answered)).deep.equal([])
        expect(gateway.lines.map(({ fields }) => fields.plugin)).include('rate-limiting')
      })

      it(`as ${name}, continue_on_error lets them pass, and shows nothing [contract 364]`, async () => {
        limit({ day: 1, continue_on_error: true })
        await fail()
        for (let i = 0; i < 3; i++) {
          const answered = await get()
          expect(answered.status).equal(200)
          expect(shows(answered)).deep.equal([])
        }
      })
    }

    it('the policy local does not notice', async () => {
      limit({ day: 1, policy: 'local' })
      away = true
      expect((await get()).status).equal(200)
      expect((await get()).status).equal(429)
    })
  })

  describe('a request under which the configuration changes', () => {
    let reached: PromiseWithResolvers<void>
    let goOn: PromiseWithResolvers<void>
    const pause = (name: string, priority: number): Plugin =>
      definePlugin({
        name,
        priority,
        phases: {
          async access() {
            reached.resolve()
            await goOn.promise
            return undefined
          },
        },
      })

    const hold = () => {
      reached = Promise.withResolvers()
      goOn = Promise.withResolvers()
    }

    beforeEach(async () => {
      hold()
      await gateway.stop()
      await start({ plugins: [pause('pause-before', 950), pause('pause-after', 850)] })
    })

    /** One request, with `act` done while it is held before or after rate-limiting. */
    async function during(place: 'before' | 'after', act: () => void): Promise<Answered> {
      gateway.addPlugin(api, `pause-${place}`)
      const answered = get()
      await reached.promise
      act()
      goOn.resolve()
      return answered
    }

    for (const policy of ['local', 'cluster'] as const) {
      it(`is counted once, by the policy ${policy}`, async () => {
        const row = limit({ day: 5, policy })
        const answered = await during('after', () => change(row, { day: 4 }))
        expect(told(answered, 'day')).deep.equal([200, [4, 3]])
        expect(told(await get(), 'day')).deep.equal([200, [4, 2]])
      })
    }

    it('is refused by a limit that it is over by now', async () => {
      const row = limit({ day: 5, policy: 'local' })
      for (let i = 0; i < 2; i++) await get()
      const answered = await during('after', () => change(row, { day: 2 }))
      expect(told(answered, 'day')).deep.equal([429, [2, 0]])
    })

    it('does not pass uncounted when it meets its first limit that way', async () => {
      const answered = await during('after', () => limit({ day: 5, policy: 'local' }))
      expect(told(answered, 'day')).deep.equal([200, [5, 4]])
    })

    it('is not refused by a limit that is gone by then, and counts all the same', async () => {
      const row = limit({ day: 1 })
      expect((await get()).status).equal(200)
      const answered = await during('before', () => change(row, { day: 3 }))
      expect(told(answered, 'day')).deep.equal([200, [3, 1]])
    })
  })
})
