// What the Admin API asks of the node that runs it: its state, its cache, its datastore and who may come in.
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { expect } from 'chai'
import { type AdminOptions, createAdmin, type NodeCache } from '../../src/admin/admin.ts'
import type { Json, Row } from '../../src/base/json.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { DatastoreAway, DatastoreError, OutcomeUnknown } from '../../src/database/errors.ts'
import { MemoryStore } from '../../src/testing/memory-store.ts'
import { emptyCluster, samplePlugins, startAdmin, type TestAdmin } from '../support/admin.ts'

const upstream_url = 'http://a.com'

describe('an Admin API', () => {
  let admin: TestAdmin
  let running: TestAdmin | undefined
  let store: MemoryStore
  const stop = async () => {
    await running?.stop()
    running = undefined
  }
  afterEach(stop)

  const start = async (options: Partial<AdminOptions> = {}) => {
    await stop()
    store = new MemoryStore()
    admin = running = await startAdmin(store, { plugins: samplePlugins, ...options })
  }

  describe('of a node', () => {
    it('tells what it is [contract 1]', async () => {
      await start()
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      await admin.json('POST', '/apis/a/plugins', { name: 'key-auth' })
      const { status, body } = await admin.get('/')
      expect(status).to.equal(200)
      expect(body).to.deep.include({
        ...{ tagline: 'Welcome to kong', version: '0.8.3', troop: { version: '0.1.0' }, hostname: 'gw-1' },
        configuration: { admin_api_listen: '127.0.0.1:8001', postgres: { password: '******' } },
      })
      expect(body.timers).to.have.keys('running', 'pending')
      expect(body.lua_version).to.be.a('string')
      expect(body.plugins.available_on_server).to.deep.equal(samplePlugins.map(({ name }) => name))
      expect(body.plugins.enabled_in_cluster).to.deep.equal(['key-auth'])
    })

    it('has empty lists that are lists', async () => {
      await start({ plugins: [] })
      expect((await admin.get('/')).body.plugins).to.deep.equal({
        available_on_server: [],
        enabled_in_cluster: [],
      })
    })

    it('tells how far every member is, and how fast changes came to it', async () => {
      const known = { applied: 9, lag: 0, freshnessMs: 12.5, silentMs: 3, propagationMs: { push: 1.5 } }
      const unknown = { applied: null, lag: null, freshnessMs: null, silentMs: null, propagationMs: {} }
      const positions = {
        head: 9,
        digest: 'ab',
        members: [
          { name: 'a', address: '10.0.0.1:7946', status: 'alive', ...known },
          { name: 'b', address: '10.0.0.2:7946', status: 'failed', ...unknown },
        ],
      }
      await start({ cluster: { ...emptyCluster, positions: async () => positions } })
      const { status, body } = await admin.get('/cluster/positions')
      expect(status).to.equal(200)
      expect(body).to.deep.equal({
        head: 9,
        digest: 'ab',
        data: [
          {
            ...{ name: 'a', address: '10.0.0.1:7946', status: 'alive', applied: 9, lag: 0 },
            ...{ freshness: 12.5, propagation: { push: 1.5 } },
          },
          {
            ...{ name: 'b', address: '10.0.0.2:7946', status: 'failed', applied: null, lag: null },
            ...{ freshness: null, propagation: {} },
          },
        ],
        total: 2,
      })
    })

    it('counts connections and entities, those of plugins too [contract 4, 136]', async () => {
      await start()
      await admin.json('POST', '/consumers', { username: 'bob' })
      const { body } = await admin.get('/status')
      expect(body).to.have.keys('server', 'database')
      expect(body.database).to.deep.equal({
        apis: 0,
        consumers: 1,
        plugins: 0,
        keyauth_credentials: 0,
        ratelimiting_metrics: 0,
        nodes: 1,
      })
      const counters = ['active', 'reading', 'writing', 'waiting', 'accepted', 'handled'].map(
        (n) => `connections_${n}`,
      )
      expect(body.server).to.have.keys(...counters, 'total_requests')
    })
  })

  describe('of its metrics', () => {
    it('answers the text as it is, to those who may ask', async () => {
      let asked = 0
      const metrics = async () => `troop_a{b="\\\\"} ${++asked}\n`
      await start({ metrics, tokens: ['secret'] })
      const get = (headers: Record<string, string>) => admin.fetch('GET', '/metrics', { headers })
      expect((await get({})).status).to.equal(401)
      expect((await get({ authorization: 'Bearer secret', origin: 'http://evil.com' })).status).to.equal(403)
      expect(asked).to.equal(0)
      const { status, text, headers } = await get({ authorization: 'Bearer secret' })
      expect([status, text]).to.deep.equal([200, 'troop_a{b="\\\\"} 1\n'])
      expect(headers.get('content-type')).to.equal('text/plain; version=0.0.4; charset=utf-8')
    })

    it('says no more than that it failed when they can’t be read', async () => {
      await start({ metrics: async () => Promise.reject(new Error('of our own')) })
      const { status, body } = await admin.get('/metrics')
      expect([status, body]).to.deep.equal([500, { message: 'An unexpected error occurred' }])
    })
  })

  describe('of a cache', () => {
    const api: Row = {
      id: '1',
      created_at: 0,
      name: 'a',
      request_host: 'a.com',
      request_path: null,
      upstream_url,
    }
    const wildcard: Row = { ...api, request_host: '*.b-c.com', request_path: '/b.c' }
    const path: Row = { ...api, request_host: null, request_path: '/b.c/longer' }
    const entries = new Map<string, Json>()
    const done: string[] = []
    const cache: NodeCache = {
      read: (key) => entries.get(key),
      apis: () => [api, wildcard, path],
      drop: async (key) => void done.push(`drop ${key}`),
      purge: async () => void done.push('purge'),
    }

    it('shows entries as they are, and 404 where there is none [contract 67]', async () => {
      await start({ cache })
      entries.set('consumers:bob smith', { username: 'bob' }).set('acls:1', []).set('n', 5)
      expect((await admin.get('/cache/hello')).status).to.equal(404)
      expect((await admin.get('/cache/consumers:bob%20smith')).body).to.deep.equal({ username: 'bob' })
      expect((await admin.get('/cache/acls:1')).body).to.deep.equal([])
      expect((await admin.get('/cache/n')).body).to.deep.equal({ message: 5 })
    })

    it('shows the router as 0.8’s table [contract 68]', async () => {
      await start({ cache })
      const { request_path: _, ...shown } = api
      const { body } = await admin.get('/cache/ALL_APIS_BY_DIC')
      expect(body.by_dns).to.deep.equal({ 'a.com': shown })
      expect(body.wildcard_dns_arr).to.deep.equal([{ pattern: '^.+%.b%-c%.com$', api: wildcard }])
      expect(body.request_path_arr.map(({ request_path }: Row) => request_path)).to.deep.equal([
        '/b.c/longer',
        '/b.c',
      ])
      expect(body.request_path_arr[1]).to.deep.equal({
        ...{ request_path: '/b.c', strip_request_path_pattern: '/b%.c', api: wildcard },
      })
    })

    it('is 404 where the router counts as not loaded [contract 69, 70]', async () => {
      await start({ cache: { ...cache, apis: () => undefined } })
      expect((await admin.get('/cache/ALL_APIS_BY_DIC')).status).to.equal(404)
    })

    it('drops a key and purges all, known or not [contract 69, 70]', async () => {
      await start({ cache })
      for (const key of ['ALL_APIS_BY_DIC', 'unknown', 'ldap_credentials%2Fbob', '']) {
        const reply = await admin.delete(`/cache/${key}`)
        expect(reply.status).to.equal(204)
        expect(reply.text).to.equal('')
      }
      expect(done).to.deep.equal([
        'drop ALL_APIS_BY_DIC',
        'drop unknown',
        'drop ldap_credentials/bob',
        'purge',
      ])
    })
  })

  describe('of a cluster', () => {
    it('makes a node leave by its name, in the query or in the path', async () => {
      const told: string[] = []
      const forceLeave = async (name: string) => {
        told.push(name)
        return name.startsWith('gw-1_')
      }
      await start({ cluster: { ...emptyCluster, forceLeave } })
      const name = 'gw-1_10.0.0.1:7946_a/b'
      for (const path of ['/cluster?name=', '/cluster/nodes/']) {
        for (const known of [name, name, 'gw-2']) {
          const { status, text } = await admin.delete(path + encodeURIComponent(known))
          expect([status, text]).to.deep.equal(
            known === name ? [200, ''] : [404, '{"message":"Not found"}\n'],
          )
        }
      }
      expect(told).to.deep.equal([name, name, 'gw-2', name, name, 'gw-2'])
      // The datastore can't hold it, so nobody is asked.
      expect((await admin.delete('/cluster/nodes/%00')).status).to.equal(404)
      expect(told).to.have.length(6)
      expect((await admin.get('/cluster/nodes/gw-2')).status).to.equal(405)
    })
  })

  describe('whose datastore fails', () => {
    const failing = async (failure: Error) => {
      await start()
      store.failure = failure
      const [get, post] = [
        await admin.get('/apis'),
        await admin.json('POST', '/consumers', { username: 'a' }),
      ]
      // Only a write is told what did not happen.
      expect(get.body.message).to.equal(post.body.message.replace('; nothing was changed', ''))
      return post
    }

    it('answers 503 when it is away, and when it is busy', async () => {
      for (const failure of [
        new DatastoreAway(new Error('secret address')),
        new DatastoreError('the datastore is too busy'),
        new DatastoreError('secret', undefined, '55P03'),
      ]) {
        const reply = await failing(failure)
        expect(reply.status).to.equal(503)
        expect(reply.headers.get('retry-after')).to.equal('1')
        expect(reply.body.message).to.match(/^The datastore .*; nothing was changed$/)
      }
    })

    it('answers 503 when it can’t write for want of disk space or memory, and says which', async () => {
      for (const [sqlState, message] of [
        ['53100', 'The datastore has no room left on its disk; nothing was changed'],
        ['53200', 'The datastore is too busy; nothing was changed'],
      ] as const) {
        const reply = await failing(new DatastoreError('secret', undefined, sqlState))
        expect([reply.status, reply.body.message]).to.deep.equal([503, message])
      }
    })

    it('says when it is unknown whether a write happened', async () => {
      const reply = await failing(new OutcomeUnknown(new Error('reset')))
      expect(reply.status).to.equal(503)
      expect(reply.body.message).to.include('may or may not have happened')
    })

    it('logs what went wrong and does not tell it [contract 489]', async () => {
      const logged: unknown[] = []
      const failure = new DatastoreError('secret detail', undefined, 'XX000')
      await start({ logger: { ...silentLogger, error: (_, fields) => logged.push(fields?.error) } })
      store.failure = failure
      const reply = await admin.get('/status')
      expect(reply.status).to.equal(500)
      expect(reply.text).to.equal('{"message":"An unexpected error occurred"}\n')
      expect(logged).to.deep.equal([failure])
    })
  })

  it('has its words for what is not there, and none for what is done [contract 489]', async () => {
    await start()
    const unknown = await admin.get('/nowhere')
    expect([unknown.status, unknown.text]).to.deep.equal([404, '{"message":"Not found"}\n'])
    const wrong = await admin.json('POST', '/apis/any', {})
    expect([wrong.status, wrong.text]).to.deep.equal([405, '{"message":"Method not allowed"}\n'])
    const done = await admin.delete('/cache')
    expect([done.status, done.text, done.headers.get('content-type')]).to.deep.equal([204, '', null])
  })

  describe('that publishes', () => {
    it('answers a write only after this node has applied it', async () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const asked = Promise.withResolvers<void>()
      await start({
        async publish() {
          asked.resolve()
          await promise
          return { applied: 1, of: 1, lagging: [] }
        },
      })
      let answered = false
      const reply = admin.json('POST', '/consumers', { username: 'bob' }).finally(() => {
        answered = true
      })
      await asked.promise
      await admin.get('/consumers')
      expect(answered).to.equal(false)
      resolve()
      expect((await reply).headers.get('x-troop-position')).to.equal('1')
    })

    it('names each request, by the id that its client gave it if that is one', async () => {
      await start({})
      const idOf = async (id: string) =>
        (await admin.fetch('GET', '/consumers/nobody', { headers: { 'x-request-id': id } })).headers.get(
          'x-request-id',
        )
      expect(await idOf('job-17:a')).to.equal('job-17:a')
      for (const none of ['', 'a b', 'x'.repeat(129)]) expect(await idOf(none)).to.match(/^[0-9a-f-]{36}$/)
    })

    it('waits as long as X-Troop-Wait says, and refuses what says nothing before anything is written', async () => {
      const waits: number[] = []
      await start({
        ackTimeoutMs: 700,
        publish: async (_, waitMs) => {
          waits.push(waitMs)
          return { applied: 1, of: 1, lagging: [] }
        },
      })
      const add = (wait: string, i: number) =>
        admin.fetch('POST', '/consumers', {
          headers: { 'content-type': 'application/json', 'x-troop-wait': wait },
          body: JSON.stringify({ username: `bob-${i}` }),
        })
      for (const [i, wait] of ['all', 'NONE', '250', '9999', '', ' all '].entries()) await add(wait, i)
      expect(waits).to.deep.equal([700, 0, 250, 700, 700, 700])
      for (const wait of ['some', '-1', '1s', '1.5']) {
        const reply = await add(wait, 99)
        expect(reply.status).to.equal(400)
        expect(reply.body.message).to.include(`"${wait}"`)
      }
      expect((await admin.get('/consumers?username=bob-99')).body.total).to.equal(0)
    })

    it('answers that a write stands when it could not be applied here', async () => {
      await start({ publish: () => Promise.reject(new Error('away')) })
      const reply = await admin.json('POST', '/consumers', { username: 'bob' })
      expect(reply.status).to.equal(201)
      expect(reply.headers.get('x-troop-position')).to.equal('1')
      expect(reply.headers.get('x-troop-applied')).to.equal('0/1')
    })
  })

  describe('that is guarded', () => {
    /** fetch sets these headers itself. */
    const ask = async (headers: Record<string, string>, method = 'GET') => {
      const sent = request(`${admin.origin}/apis`, { headers, method, agent: false }).end()
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      response.resume()
      return response
    }

    it('answers to its own names and addresses, and to no other', async () => {
      await start({
        listens: [{ host: 'gw.internal', port: 8001 }],
        tokens: ['t'],
        origins: ['https://admin.example.com'],
      })
      const authorization = 'Bearer t'
      const own = [
        'localhost',
        'LOCALHOST:80',
        '127.0.0.1:8001',
        '127.9.9.9',
        '[::1]:8001',
        'gw-1:8001',
        'gw.internal',
        'admin.example.com',
        'localhost.',
      ]
      for (const host of own) expect((await ask({ host, authorization })).statusCode, host).to.equal(200)
      const foreign = [
        'evil.com',
        '127.evil.com',
        'localhost.evil.com',
        '10.0.0.1',
        '[::2]',
        'evil.com:8001',
        'a@localhost',
      ]
      for (const host of foreign) expect((await ask({ host, authorization })).statusCode, host).to.equal(403)
    })

    it('refuses pages of foreign origins, whatever they ask', async () => {
      await start({ origins: ['https://admin.example.com'] })
      for (const origin of [
        'https://evil.com',
        'null',
        'http://localhost:1',
        'https://admin.example.com.evil.com',
      ]) {
        for (const method of ['GET', 'POST', 'OPTIONS']) {
          const response = await ask({ origin }, method)
          expect(response.statusCode, origin).to.equal(403)
          expect(response.headers).not.to.have.property('access-control-allow-origin')
        }
      }
    })

    it('lets the pages of its origins and of itself in', async () => {
      await start({ origins: ['https://admin.example.com'] })
      for (const origin of ['https://admin.example.com', admin.origin]) {
        for (const [method, status] of [
          ['GET', 200],
          ['OPTIONS', 204],
        ] as const) {
          const response = await ask({ origin }, method)
          expect(response.statusCode).to.equal(status)
          expect(response.headers['access-control-allow-origin']).to.equal(origin)
          expect(response.headers.vary).to.equal('Origin')
        }
      }
    })

    it('tells probes whether it is there and ready, without a token', async () => {
      let ready = true
      const health = () => ({
        ready,
        workers: { running: 1, wanted: 2, hanging: 0 },
        datastore: { reachable: false },
        position: 3,
      })
      await start({ tokens: ['secret'], health })
      expect(await admin.get('/health').then(({ status, body }) => ({ status, body }))).to.deep.equal({
        status: 200,
        body: {
          ready: true,
          workers: { running: 1, wanted: 2, hanging: 0 },
          datastore: { reachable: false },
          position: 3,
        },
      })
      expect((await admin.get('/ready')).status).to.equal(200)
      ready = false
      expect((await admin.get('/ready')).status).to.equal(503)
      expect((await admin.get('/health')).status).to.equal(200)
      expect((await admin.get('/status')).status).to.equal(401)
    })

    it('records a change under the name of the token that made it', async () => {
      await start({ tokens: ['alice:first', 'second', 'a:b:c'] })
      const add = (token: string, username: string) =>
        admin.fetch('POST', '/consumers', {
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ username }),
        })
      for (const [i, token] of ['first', 'second', 'b:c'].entries())
        expect((await add(token, `u${i}`)).status).to.equal(201)
      expect(store.actors).to.deep.equal(['alice', 'admin-api 127.0.0.1', 'a'])
      for (const token of ['alice:first', 'alice', 'a:b:c', 'c'])
        expect((await add(token, 'x')).status, token).to.equal(401)
    })

    it('asks for one of its tokens when it has any', async () => {
      await start({ tokens: ['first', 'second'] })
      for (const authorization of ['Bearer first', 'bearer second']) {
        expect((await ask({ authorization })).statusCode).to.equal(200)
      }
      for (const authorization of [
        '',
        'Bearer',
        'Bearer firs',
        'Bearer firstt',
        'Basic first',
        'first',
        'Bearer first second',
      ]) {
        const response = await ask(authorization ? { authorization } : {})
        expect(response.statusCode, authorization).to.equal(401)
        expect(response.headers['www-authenticate']).to.equal('Bearer realm="troop"')
      }
      expect((await ask({ origin: admin.origin }, 'OPTIONS')).statusCode).to.equal(204)
    })

    it('is not made open to other machines without a token, unless that is accepted', async () => {
      await start()
      const open = {
        listens: [
          { host: '127.0.0.1', port: 8001 },
          { host: '0.0.0.0', port: 8444 },
        ],
      }
      const make = (options: object) => createAdmin({ ...admin.options, ...options })
      expect(() => make(open))
        .to.throw('open to other machines at 0.0.0.0:8444')
        .with.property('code', 'admin-exposed')
      for (const options of [{ insecure: true }, { tokens: ['t'] }]) make({ ...open, ...options })
    })
  })
})
