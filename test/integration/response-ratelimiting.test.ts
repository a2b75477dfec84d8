// response-ratelimiting on real sockets, with an upstream that says what it is asked to say was used.
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { Database } from '../../src/database/database.ts'
import { ClusterCounters } from '../../src/node/counters/cluster-counters.ts'
import { LocalCounters, localCountersBuffer } from '../../src/node/counters/local-counters.ts'
import { PostgresCounters } from '../../src/node/counters/postgres-counters.ts'
import { responseRatelimiting } from '../../src/plugins/response-ratelimiting/response-ratelimiting.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { encodings, sendAs, startAdminOnPostgres } from '../support/admin.ts'
import { TestGateway } from '../support/gateway.ts'
import { openDatabase, parts } from '../support/log.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { type Answered, ask } from '../support/raw-http.ts'

describe('response-ratelimiting', () => {
  let test: TestDatabase
  let database: Database
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row
  let away: boolean
  let cluster: ClusterCounters

  before(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    upstream = await new Upstream().start()
    // What the request says is used, and what the gateway told the upstream is left.
    upstream.answer = ({ headers }, response) => {
      const { 'x-use': use, 'x-use-name': name = 'x-kong-limit' } = headers
      if (use !== undefined) response.setHeader(String(name), String(use))
      const told = Object.entries(headers).filter(([header]) => header.startsWith('x-ratelimit'))
      response.end(JSON.stringify(Object.fromEntries(told)))
    }
  })
  after(async () => {
    await upstream.stop()
    await database.stop()
    await test.drop()
  })

  beforeEach(async () => {
    await test.query('delete from response_ratelimiting_metrics')
    away = false
    const clock = new ManualClock()
    clock.advance(Date.parse('2024-01-15T12:34:56Z'))
    const agent = new PostgresCounters({ database, isAway: () => away, clock: parts.clock })
    cluster = new ClusterCounters({ ...parts, count: (asks) => agent.count(asks) })
    const counting = {
      local: new LocalCounters({ buffer: localCountersBuffer(1000), owner: 1, clock, logger: silentLogger }),
      cluster,
    }
    gateway = await new TestGateway({ counting }).start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  })
  afterEach(async () => {
    await gateway.stop()
    // What the last responses used is counted after them.
    await cluster.stop()
  })

  const defaults = { header_name: 'x-kong-limit', continue_on_error: false, block_on_first_violation: false }
  const limit = (limits: JsonObject, config: JsonObject = {}, consumer: Row | null = null) =>
    gateway.addPlugin(api, 'response-ratelimiting', { ...defaults, limits, ...config }, consumer)
  const get = (use: string | undefined, ...headers: string[]) =>
    ask(gateway.port, '/', { headers: ['Host', 'test', ...(use ? ['X-Use', use] : []), ...headers] })
  /** Status, then what is left by name and period, e.g. `video-day`. */
  const told = ({ status, headers }: Answered, ...shown: string[]) => [
    status,
    ...shown.map((name) => Number(headers[`x-ratelimit-remaining-${name}`])),
  ]
  const shows = ({ rawHeaders }: Answered) => rawHeaders.filter((name) => /^x-ratelimit/i.test(name))

  for (const policy of ['local', 'cluster'] as const) {
    describe(`with the policy ${policy}`, () => {
      it('what the upstream says was used is counted, until nothing is left [contract 368]', async () => {
        limit({ video: { day: 6 } }, { policy })
        for (const left of [4, 2, 0]) {
          const answered = await get('video=2, unknown=7')
          expect(told(answered, 'video-day')).deep.equal([200, left])
          expect(answered.headers).include({ 'x-ratelimit-limit-video-day': '6' })
          expect(answered.headers).not.have.property('x-kong-limit')
          expect(shows(answered)).length(2)
        }
        const refused = await get('video=2')
        expect(told(refused, 'video-day')).deep.equal([429, 0])
        expect([refused.body, refused.headers['content-length']]).deep.equal(['', '0'])
      })

      it('limits are counted apart, and a refusal counts for none [contract 369]', async () => {
        limit({ video: { day: 6, month: 10 }, image: { month: 4 } }, { policy })
        const shown = ['video-day', 'video-month', 'image-month']
        const answers = []
        for (let i = 0; i < 5; i++) answers.push(told(await get('video=2, image=1'), ...shown))
        expect(answers).deep.equal([
          [200, 4, 8, 3],
          [200, 2, 6, 2],
          [200, 0, 4, 1],
          [429, 0, 4, 1],
          [429, 0, 4, 1],
        ])
        expect(told(await get('image=1'), ...shown)).deep.equal([200, 0, 4, 0])
      })

      it('what uses nothing is not refused, though nothing is left [contract 371]', async () => {
        limit({ video: { day: 1 } }, { policy })
        await get('video=3')
        expect(told(await get('video=1'), 'video-day')).deep.equal([429, 0])
        for (const use of [undefined, 'video=0', 'video=-1', 'video=x', 'video', 'image=1']) {
          expect(told(await get(use), 'video-day'), use).deep.equal([200, 0])
        }
      })
    })
  }

  it('a consumer’s own limits take the place of the API’s [contract 370]', async () => {
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    const [bob, eve] = [gateway.addConsumer('bob'), gateway.addConsumer('eve')]
    gateway.addKey(bob, 'bob')
    gateway.addKey(eve, 'eve')
    limit({ video: { day: 2 } })
    limit({ video: { day: 5 } }, {}, bob)
    expect(told(await get('video=1', 'apikey', 'bob'), 'video-day')).deep.equal([200, 4])
    expect(told(await get('video=1', 'apikey', 'eve'), 'video-day')).deep.equal([200, 1])
  })

  it('consumers are counted each by itself, or each credential if that is asked for [contract 372]', async () => {
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    const [bob, eve] = [gateway.addConsumer('bob'), gateway.addConsumer('eve')]
    for (const [consumer, key] of [
      [bob, 'bob'],
      [bob, 'other'],
      [eve, 'eve'],
    ] as const) {
      gateway.addKey(consumer, key)
    }
    const row = limit({ video: { day: 9 } })
    const left = async (key: string) => told(await get('video=1', 'apikey', key), 'video-day')[1]
    expect([await left('bob'), await left('other'), await left('eve')]).deep.equal([8, 7, 8])
    gateway.catalog.put('plugins', {
      ...row,
      config: { ...(row.config as JsonObject), limit_by: 'credential' },
    })
    expect([await left('bob'), await left('other'), await left('bob')]).deep.equal([8, 8, 7])
  })

  it('the upstream is told the least that is left of each limit, before and after it is used up [contract 373]', async () => {
    limit({ video: { day: 3, month: 10 }, image: { day: 5 } })
    const upstreams = async (use?: string) =>
      JSON.parse((await get(use, 'X-RateLimit-Remaining-video', '99')).body)
    expect(await upstreams('video=2')).deep.equal({
      'x-ratelimit-remaining-video': '3',
      'x-ratelimit-remaining-image': '5',
    })
    expect(await upstreams('video=5')).include({ 'x-ratelimit-remaining-video': '1' })
    expect(await upstreams()).include({ 'x-ratelimit-remaining-video': '-4' })
  })

  it('block_on_first_violation refuses before the upstream is asked, also when more was used than there was [contract 374]', async () => {
    limit({ video: { day: 6 }, image: { day: 4 } }, { block_on_first_violation: true })
    expect((await get('video=2, image=4')).status).equal(200)
    const asked = upstream.requests
    const refused = await get('video=1')
    expect([refused.status, refused.body]).deep.equal([
      429,
      '{"message":"API rate limit exceeded for \'image\'"}\n',
    ])
    expect(told(refused, 'video-day', 'image-day')).deep.equal([429, 4, 0])
    expect(upstream.requests).equal(asked)
  })

  it('and so it does when more was used than there was', async () => {
    limit({ video: { day: 1 } }, { block_on_first_violation: true })
    expect((await get('video=2')).status).equal(200)
    expect((await get(undefined)).status).equal(429)
  })

  it('the header may have another name', async () => {
    limit({ video: { day: 6 } }, { header_name: 'X-Used' })
    const answered = await get('video=2', 'X-Use-Name', 'x-used')
    expect(told(answered, 'video-day')).deep.equal([200, 4])
    expect(answered.headers).not.have.property('x-used')
  })

  describe('when the counters are gone', () => {
    it('requests are answered 500 [contract 375]', async () => {
      limit({ video: { day: 6 } })
      away = true
      const answered = await get('video=1')
      expect([answered.status, answered.body]).deep.equal([
        500,
        '{"message":"An unexpected error occurred"}\n',
      ])
      expect(shows(answered)).deep.equal([])
    })

    it('or with continue_on_error pass, are shown nothing, and the header stays within [contract 375]', async () => {
      limit({ video: { day: 1 } }, { continue_on_error: true })
      away = true
      for (let i = 0; i < 3; i++) {
        const answered = await get('video=1')
        expect(answered.status).equal(200)
        expect(shows(answered)).deep.equal([])
        expect(answered.headers).not.have.property('x-kong-limit')
      }
    })
  })

  it('what its configuration may be [contract 376, 377]', async () => {
    const admin = await startAdminOnPostgres({ plugins: [responseRatelimiting] })
    try {
      await admin.json('POST', '/apis', { name: 'api', request_host: 'a.com', upstream_url: 'http://a.com' })
      for (const encoding of encodings) {
        const told = async (config: JsonObject) => {
          const body = { name: 'response-ratelimiting', config }
          const reply = await sendAs(admin, encoding)('POST', '/apis/api/plugins', body)
          if (reply.status === 201) await admin.delete(`/plugins/${reply.body.id}`)
          return reply.body
        }
        const none = { config: 'You need to set at least one limit name' }
        expect(await told({ continue_on_error: true })).deep.equal(none)
        expect((await told({ limits: { video: { second: 10 } } })).config).deep.equal({
          ...defaults,
          limits: { video: { second: 10 } },
        })
        expect(await told({ limits: { second: 10 } })).deep.equal({
          'config.limits.second': 'second is not a table',
        })
        expect(await told({ limits: { video: { seco: 10 } } })).deep.equal({
          'config.limits.video.seco': 'seco is an unknown field',
        })
        expect(await told({ limits: { image: { day: 1 }, video: { second: 20, hour: 10 } } })).deep.equal({
          config: 'The limit for hour cannot be lower than the limit for second',
        })
        expect(await told({ limits: { video: { second: 0 } } })).deep.equal({
          config: 'Value for second must be greater than zero',
        })
        expect(await told({ limits: { video: { second: 10, hour: 20 } } })).have.property('id')
        expect(await told({ limits: { 'two words': { second: 1 } } })).have.property('config.limits')
      }
    } finally {
      await admin.stop()
    }
  })
})
