// GET /cluster/events: the log, as pages and as a stream, through a real listener on a real log.
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'chai'
import type { AdminOptions } from '../../src/admin/admin.ts'
import { EventStreams, streamLimits } from '../../src/admin/event-streams.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { DatastoreAway } from '../../src/database/errors.ts'
import { AdminServer } from '../../src/node/admin-server.ts'
import { keyAuth } from '../../src/plugins/key-auth/key-auth.ts'
import { definePlugin } from '../../src/plugins/plugin.ts'
import type { Reply } from '../support/admin.ts'
import { EventClient } from '../support/event-client.ts'
import { type EventNode, startEventNode } from '../support/event-node.ts'
import { until } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

const upstream_url = 'http://a.com'

const vault = definePlugin({
  name: 'vault',
  phases: {},
  config: {
    url: { type: 'string' },
    token: { type: 'string', secret: true },
    login: {
      type: 'table',
      fields: { user: { type: 'string' }, password: { type: 'string', secret: true } },
    },
  },
})
const plugins = [keyAuth, vault]

describe('the log in the Admin API', () => {
  let test: TestDatabase
  let running: EventNode
  /** The head before a test has written anything. */
  let base: number
  const clients: EventClient[] = []

  const start = async (options: Partial<AdminOptions> = {}) => {
    running = await startEventNode(test, { plugins, ...options })
    base = running.feed.applied().position
  }

  beforeEach(async () => {
    test = await testDatabase()
  })

  afterEach(async () => {
    for (const client of clients.splice(0)) client.cut()
    await running.stop()
    await test.drop()
  })

  const admin = () => running.admin
  const get = (query = '') => admin().get(`/cluster/events${query}`)
  const positions = ({ body }: Reply) =>
    body.data.map(({ position }: { position: number }) => position - base)
  const addConsumers = (...names: string[]) =>
    test.query('insert into consumers (username) select unnest($1::text[])', [names])
  const listen = async (query = '', headers: Record<string, string> = {}, origin = admin().origin) => {
    const client = await EventClient.open(`${origin}/cluster/events${query}`, headers)
    clients.push(client)
    return client
  }

  describe('as pages', () => {
    it('lists what happened, oldest first: what, when, by whom, and in which transaction', async () => {
      await start()
      const api = await admin().json('POST', '/apis', { name: 'a', request_path: '/a', upstream_url })
      await admin().json('PATCH', '/apis/a', { request_path: '/b' })
      await addConsumers('x', 'y')
      const { status, body } = await get(`?since=${base}`)
      expect(status).to.equal(200)
      const [created, updated, , last] = body.data
      const { at, ...rest } = created
      expect(at).to.be.closeTo(Date.now(), 60_000)
      expect(rest).to.deep.equal({
        ...{ position: base + 1, first: base + 1, entity: 'apis', operation: 'create', schema: 1 },
        ...{ actor: 'admin-api 127.0.0.1', old: null, new: api.body },
      })
      expect(updated).to.deep.include({ changed: ['request_path'], old: api.body })
      expect(last).to.deep.include({ position: base + 4, first: base + 3, actor: null })
      expect(body).to.include({ head: base + 4, first_kept: 0 })
      expect(body).not.to.have.any.keys('next', 'pruned')
    })

    it('begins with the genesis of the log when nothing is said', async () => {
      await start()
      const { body } = await get('?size=1')
      expect(body.data).to.have.length(1)
      expect(body.data[0]).to.include({ position: 0, entity: 'log', operation: 'genesis' })
    })

    it('goes from page to page by next, which keeps the filters', async () => {
      await start()
      await addConsumers('a', 'b', 'c', 'd', 'e')
      await test.query(`update consumers set custom_id = username`)
      const seen: number[] = []
      let next: string | undefined = `?since=${base + 1}&size=2&entity=consumers&operation=create`
      let pages = 0
      for (; next !== undefined; pages++) {
        const reply: Reply = await get(next)
        seen.push(...positions(reply))
        next = reply.body.next && new URL(reply.body.next).search
      }
      expect(seen).to.deep.equal([2, 3, 4, 5])
      expect(pages).to.equal(3)
      const { body } = await get(`?since=${base + 1}&size=2&entity=consumers&operation=create`)
      expect(body.next).to.equal(
        `${admin().origin}/cluster/events?since=${base + 3}&size=2&entity=consumers&operation=create`,
      )
    })

    it('tells the ends of the log, and whether what was asked for is gone', async () => {
      await start()
      await addConsumers('a', 'b', 'c')
      await test.query('delete from events where position < $1', [base + 2])
      const ends = { head: base + 3, first_kept: base + 2 }
      expect((await get('?size=0')).body).to.deep.equal({ data: [], ...ends })
      expect((await get('?since=0')).body).to.include({ ...ends, pruned: true })
      expect(positions(await get('?since=0'))).to.deep.equal([2, 3])
      expect((await get(`?since=${base + 1}`)).body).not.to.have.property('pruned')
      expect((await get()).body).not.to.have.property('pruned')
    })

    it('refuses what it does not understand, by name and value', async () => {
      await start()
      for (const [query, body] of [
        ['since=x', { since: 'since is not a whole number from 0: "x"' }],
        ['size=1001', { size: 'size is not a whole number from 0 to 1000: "1001"' }],
        ['operation=drop', undefined],
        ['entity=api', undefined],
        ['order=desc', { order: 'unknown field' }],
      ] as const) {
        const reply = await get(`?${query}`)
        expect(reply.status, query).to.equal(400)
        if (body) expect(reply.body).to.deep.equal(body)
      }
      expect((await get('?entity=api')).body.entity).to.equal(
        '"api" is not allowed. Allowed values are: "apis", "consumers", "plugins", "keyauth_credentials", "nodes", "log"',
      )
    })

    it('is 503 while the datastore is away', async () => {
      await start()
      const read = () => Promise.reject(new DatastoreAway(new Error('refused')))
      const other = await startEventNode(test, { log: { ...admin().options.log, read } })
      const reply = await other.admin.get('/cluster/events')
      await other.stop()
      expect(reply.status).to.equal(503)
    })

    it('leaves the route of 0.8’s agents as it was, and has no others [contract 71]', async () => {
      await start()
      const event = await admin().json('POST', '/cluster/events', { type: 'CREATED', collection: 'apis' })
      expect([event.status, event.text]).to.deep.equal([200, ''])
      expect((await admin().form('POST', '/cluster/events', '')).status).to.equal(200)
      expect(event.headers.get('content-type')).to.equal('application/json; charset=utf-8')
      expect((await admin().fetch('HEAD', '/cluster/events')).status).to.equal(200)
      const { status, headers } = await admin().delete('/cluster/events')
      expect(status).to.equal(405)
      expect(headers.get('allow')).to.equal('HEAD, GET, POST')
    })
  })

  describe('for people', () => {
    it('has no secret in any answer, and says that one was changed', async () => {
      await start()
      const json = (method: string, path: string, body: object) =>
        admin().json(method, path, body as Record<string, string>)
      await json('POST', '/apis', { name: 'a', request_path: '/a', upstream_url })
      await json('POST', '/consumers', { username: 'bob' })
      const key = await json('POST', '/consumers/bob/key-auth', { key: 'pass-1' })
      expect(key.body.key, 'a reply shows the key').to.equal('pass-1')
      await json('PATCH', `/consumers/bob/key-auth/${key.body.id}`, { key: 'pass-2' })
      await admin().delete(`/consumers/bob/key-auth/${key.body.id}`)
      const config = { url: 'u', token: 'pass-3', login: { user: 'me', password: 'pass-4' } }
      const plugin = await json('POST', '/apis/a/plugins', { name: 'vault', config })
      await json('PATCH', `/apis/a/plugins/${plugin.body.id}`, { config: { login: { password: 'pass-5' } } })
      // What this node does not know: a plugin, a table, a newer version of a table.
      await test.query(
        `insert into plugins (name, api_id, config) select 'other', id, '{"token": "pass-6"}' from apis`,
      )
      await test.query(`create table others (id uuid primary key, secret text)`)
      await test.query(`select log_changes('others'::regclass)`)
      await test.query(`insert into others values (gen_random_uuid(), 'pass-7')`)
      await test.query(`select log_changes('consumers'::regclass, 2)`)
      await test.query(`update consumers set custom_id = 'pass-8'`)

      const stream = await listen(`?since=${base}`)
      const page = await get(`?since=${base}`)
      await stream.reaches(page.body.head)
      const singles = await Promise.all(
        page.body.data.map(({ position }: { position: number }) => get(`?since=${position - 1}&size=1`)),
      )
      for (const text of [page.text, stream.text, ...singles.map((single) => single.text)]) {
        expect(text).not.to.include('pass-')
        expect(text.length).to.be.greaterThan(100)
      }
      expect(stream.events.map(({ data }) => data)).to.deep.equal(page.body.data)

      const of = (entity: string, operation: string) =>
        page.body.data.find(
          (event: { entity: string; operation: string }) =>
            event.entity === entity && event.operation === operation,
        )
      expect(of('keyauth_credentials', 'update')).to.deep.include({
        changed: ['key'],
        old: { ...key.body, key: '******' },
        new: { ...key.body, key: '******' },
      })
      expect(of('plugins', 'update')).to.deep.include({ changed: ['config'] })
      expect(of('plugins', 'update').new.config).to.deep.equal({
        ...{ url: 'u', token: '******', login: { user: 'me', password: '******' } },
      })
      expect(of('others', 'create').new).to.include({ secret: '******' })
      expect(of('consumers', 'update')).to.deep.include({ schema: 2, changed: ['custom_id'] })
    })

    it('shows the nodes that came and went', async () => {
      await start()
      await test.query(
        `insert into nodes (name, cluster_listening_address, status, ttl_on_failure, version)
         values ('gw-1', '10.0.0.1:7946', 'alive', 60, '1')`,
      )
      await test.query(`update nodes set status = 'left'`)
      const { body } = await get('?entity=nodes')
      const node = { name: 'gw-1', address: '10.0.0.1:7946', status: 'alive', life: base + 1 }
      expect(body.data[0].new).to.deep.equal(node)
      expect(body.data[1]).to.deep.include({
        changed: ['status'],
        old: node,
        new: { ...node, status: 'left' },
      })
    })
  })

  describe('as a stream', () => {
    it('begins now, and tells what is applied as it comes', async () => {
      await start()
      await addConsumers('before')
      await until(() => running.feed.applied().position === base + 1)
      const client = await listen()
      expect(client.response.statusCode).to.equal(200)
      expect(client.response.headers).to.include({
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
        connection: 'close',
      })
      await client.reaches(base + 1)
      await addConsumers('a', 'b')
      await client.reaches(base + 3)
      expect(client.positions()).to.deep.equal([base + 2, base + 3])
      const { body } = await get(`?since=${base + 1}`)
      expect(client.events.map(({ data }) => data)).to.deep.equal(body.data)
    })

    it('goes on from where a client was, by the header rather than by the URL', async () => {
      await start()
      await addConsumers('a', 'b', 'c')
      await until(() => running.feed.applied().position === base + 3)
      const byUrl = await listen(`?since=${base + 1}`)
      const byHeader = await listen(`?since=${base + 1}`, { 'last-event-id': String(base + 2) })
      await byUrl.reaches(base + 3)
      await byHeader.reaches(base + 3)
      expect(byUrl.positions()).to.deep.equal([base + 2, base + 3])
      expect(byHeader.positions()).to.deep.equal([base + 3])
      const wrong = await listen('', { 'last-event-id': 'x' })
      expect(wrong.response.statusCode).to.equal(400)
      await wrong.ended()
      expect(wrong.text).to.equal('{"Last-Event-ID":"Last-Event-ID is not a whole number from 0: \\"x\\""}\n')
    })

    it('has every event once and in order, while many write at once and streams come and go', async function () {
      this.timeout(60_000)
      await start()
      const early = await listen()
      const late: EventClient[] = []
      const writers = Array.from({ length: 8 }, async (_, w) => {
        for (let i = 0; i < 25; i++) {
          await addConsumers(`w${w}-${i}`, `W${w}-${i}`)
          if (i % 5 === 0) late.push(await listen(`?since=${base}`))
        }
      })
      await Promise.all(writers)
      const expected = Array.from({ length: 400 }, (_, i) => base + 1 + i)
      for (const client of [early, ...late]) {
        await client.reaches(base + 400)
        expect(client.positions()).to.deep.equal(expected)
      }
    })

    it('has a transaction of ten thousand rows whole', async function () {
      this.timeout(60_000)
      await start()
      const client = await listen()
      await test.query(`insert into consumers (username) select 'n' || n from generate_series(1, 10000) n`)
      await client.reaches(base + 10_000)
      expect(client.positions()).to.deep.equal(Array.from({ length: 10_000 }, (_, i) => base + 1 + i))
    })

    it('tells by itself what its filter lets through', async () => {
      await start()
      const client = await listen('?entity=apis&operation=delete')
      await addConsumers('a')
      await admin().json('POST', '/apis', { name: 'a', request_path: '/a', upstream_url })
      await admin().delete('/apis/a')
      await client.reaches(base + 3)
      expect(client.positions()).to.deep.equal([base + 3])
      expect((await listen('?entity=api')).response.statusCode).to.equal(400)
    })

    it('says when the log has become another one, and goes on with that', async () => {
      await start()
      const client = await listen()
      await addConsumers('one')
      await client.reaches(base + 1)
      await test.query(`begin; alter table events disable trigger refuse_hole;
        delete from events where position = (select max(position) from events);
        alter table events enable always trigger refuse_hole;
        insert into consumers (username) values ('another'); commit`)
      await until(() => client.events.length === 2)
      expect(client.events[1]).to.deep.equal({
        ...{ id: base + 1, name: 'reset', data: { position: base + 1, reason: 'other-history' } },
      })
      await addConsumers('next')
      await client.reaches(base + 2)
      expect(client.events[2]?.data.new.username).to.equal('next')
    })

    it('says when what it would tell is pruned, and goes on with what is left', async () => {
      await start()
      await addConsumers('a', 'b', 'c')
      await test.query('delete from events where position < $1', [base + 3])
      await until(() => running.feed.applied().position === base + 3)
      const client = await listen('?since=0')
      await client.reaches(base + 3)
      expect(client.events.map(({ id, name }) => [id - base, name])).to.deep.equal([
        [2, 'reset'],
        [3, 'change'],
      ])
    })

    it('has the events that make nodes load anew', async () => {
      await start()
      const client = await listen()
      await test.query(`select append_event('log', 'reset', null, null, 1)`)
      await client.reaches(base + 1)
      await addConsumers('after')
      await client.reaches(base + 2)
      expect(client.events.map(({ name, data }) => [name, data.operation])).to.deep.equal([
        ['change', 'reset'],
        ['change', 'create'],
      ])
    })

    it('is for those who ask for it', async () => {
      await start()
      const typeFor = async (accept: string) => {
        const client = await listen('', { accept })
        client.cut()
        return client.response.headers['content-type']
      }
      for (const accept of ['*/*', 'application/json', 'text/html, */*;q=0.8', 'image/png']) {
        expect(await typeFor(accept), accept).to.equal('application/json; charset=utf-8')
      }
      for (const accept of ['text/event-stream', 'text/event-stream, application/json;q=0.5']) {
        expect(await typeFor(accept), accept).to.equal('text/event-stream; charset=utf-8')
      }
      const head = await admin().fetch('HEAD', '/cluster/events', {
        headers: { accept: 'text/event-stream' },
      })
      expect(head.headers.get('content-type')).to.equal('application/json; charset=utf-8')
      expect(head.headers.get('vary')).to.equal('Origin, Accept')
    })

    it('is guarded like everything else', async () => {
      await start({ tokens: ['t'] })
      const statusFor = async (headers: Record<string, string>) =>
        (await listen('', { authorization: 'Bearer t', ...headers })).response.statusCode
      expect(await statusFor({ authorization: 'Bearer x' })).to.equal(401)
      expect(await statusFor({ origin: 'http://evil.com' })).to.equal(403)
      expect(await statusFor({ host: 'evil.com' })).to.equal(403)
      expect(await statusFor({})).to.equal(200)
      expect((await get()).status).to.equal(401)
    })

    it('is open to so many and no more, and to another one once one has gone', async () => {
      const streams = new EventStreams(
        { clock: systemClock, logger: silentLogger },
        { ...streamLimits, streamsMax: 2 },
      )
      await start({ streams })
      const [first] = [await listen(), await listen()]
      const refused = await listen()
      expect(refused.response.statusCode).to.equal(503)
      expect(refused.response.headers['retry-after']).to.equal('5')
      await refused.ended()
      expect(refused.text).to.equal('{"message":"No more streams of events are served: 2 are open"}\n')
      first.cut()
      await until(async () => (await listen()).response.statusCode === 200)
    })

    it('is cut, with a line in the log, for a client that does not read', async function () {
      this.timeout(60_000)
      const warned: unknown[] = []
      const logger = {
        ...silentLogger,
        warn: (sentence: string, fields?: object) => void warned.push({ sentence, ...fields }),
      }
      const times = { heartbeatMs: 50, stallMs: 1000 }
      await start({
        streams: new EventStreams({ clock: systemClock, logger }, { ...streamLimits, ...times }),
      })
      const socket = connect(Number(new URL(admin().origin).port), '127.0.0.1').pause()
      await once(socket, 'connect')
      socket.write('GET /cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n')
      // More than the system keeps for a connection; a client that reads has no trouble with it.
      await test.query('alter table consumers drop constraint consumers_username_key')
      const reader = await listen()
      for (let head = base; warned.length === 0; head += 4) {
        await test.query(
          `insert into consumers (username) select repeat('a', 1000000) from generate_series(1, 4)`,
        )
        await reader.reaches(head + 4)
      }
      socket.resume()
      socket.on('error', () => {})
      await once(socket, 'close')
      expect(warned).to.deep.equal([
        {
          sentence: 'a stream of events was cut: its client does not read',
          ...{ client: '127.0.0.1', stallMs: 1000 },
        },
      ])
      const { head } = (await get('?size=0')).body
      await reader.reaches(head)
      expect(reader.positions()).to.deep.equal(Array.from({ length: head - base }, (_, i) => base + 1 + i))
    })
  })

  describe('of a node', () => {
    let server: AdminServer
    let origin: string

    beforeEach(async () => {
      await start()
      const { streams: _, ...setup } = admin().options
      server = new AdminServer({ ...setup, tokens: ['t'] })
      const { host, port } = await server.start({ host: '127.0.0.1', port: 0 })
      origin = `http://${host}:${port}`
    })

    const open = () => listen('', { authorization: 'Bearer t' }, origin)
    const reload = (tokens: readonly string[]) => server.reload({ ...admin().options, tokens })

    it('goes on over a reload', async () => {
      const client = await open()
      reload(['t'])
      await addConsumers('a')
      await client.reaches(base + 1)
      expect(client.positions()).to.deep.equal([base + 1])
      await server.stop()
    })

    it('ends when others may ask than before, so that clients are asked again', async () => {
      const client = await open()
      reload(['other'])
      await client.ended()
      expect((await open()).response.statusCode).to.equal(401)
      await server.stop()
    })

    it('ends when the node stops, at once', async () => {
      const client = await open()
      const startedAt = systemClock.monotonic()
      await server.stop()
      expect(systemClock.monotonic() - startedAt).to.be.lessThan(1500)
      await client.ended()
      expect(client.response.complete).to.equal(true)
    })
  })
})
