import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { encodings, sendAs, startAdminOnPostgres, type TestAdmin } from '../support/admin.ts'
import type { TestDatabase } from '../support/postgres.ts'

const unknownId = '00000000-0000-4000-8000-000000000000'
const upstream_url = 'http://api-test.com'

describe('plugin configurations', () => {
  let admin: TestAdmin & { readonly test: TestDatabase }
  let api: JsonObject
  before(async () => {
    admin = await startAdminOnPostgres()
  })
  after(() => admin.stop())
  beforeEach(async () => {
    await admin.test.query('delete from apis')
    await admin.test.query('delete from consumers')
    api = (await admin.json('POST', '/apis', { name: 'api', request_host: 'api.com', upstream_url })).body
  })

  const collection = '/apis/api/plugins/'
  const make = async (body: JsonObject) => (await admin.json('POST', collection, body)).body
  const stored = async (id: string) => (await admin.get(`/plugins/${id}`)).body
  const keyAuthDefaults = { key_names: ['apikey'], hide_credentials: false }

  for (const encoding of encodings) {
    describe(`with ${encoding} bodies`, () => {
      const send: ReturnType<typeof sendAs> = (...request) => sendAs(admin, encoding)(...request)

      it('are created with the given config and the plugin’s defaults [contract 28, 29, 31, 137, 147]', async () => {
        for (const method of ['POST', 'PUT']) {
          const given = await send(method, collection, {
            name: 'key-auth',
            config: { key_names: ['apikey', 'key'] },
          })
          expect(given.status).to.equal(201)
          const { id, created_at, ...rest } = given.body
          expect(created_at).to.be.a('number')
          expect(rest).to.deep.equal({
            ...{ api_id: api.id, name: 'key-auth', enabled: true },
            config: { key_names: ['apikey', 'key'], hide_credentials: false },
          })
          await admin.delete(`/plugins/${id}`)
          const bare = await send(method, collection, { name: 'key-auth' })
          expect(bare.status).to.equal(201)
          expect(bare.body.config).to.deep.equal(keyAuthDefaults)
          await admin.delete(`/plugins/${bare.body.id}`)
        }
      })

      it('need a name [contract 30, 37]', async () => {
        for (const method of ['POST', 'PUT']) {
          const reply = await send(method, collection, {})
          expect(reply.status).to.equal(400)
          expect(reply.text).to.equal('{"name":"name is required"}\n')
        }
      })

      it('are replaced by a PUT with id, name and created_at [contract 32-35]', async () => {
        const made = await make({ name: 'key-auth', config: { key_names: ['k'], hide_credentials: true } })
        const body = { id: made.id, name: 'key-auth', created_at: made.created_at }
        const part = await send('PUT', collection, { ...body, config: { key_names: ['updated'] } })
        expect(part.status).to.equal(200)
        expect(part.body).to.deep.equal({
          ...made,
          config: { key_names: ['updated'], hide_credentials: false },
        })
        const bare = await send('PUT', collection, body)
        expect(bare.status).to.equal(200)
        expect(bare.body.config).to.deep.equal(keyAuthDefaults)
        expect(await stored(made.id)).to.deep.equal(bare.body)

        const limit = await make({ name: 'rate-limiting', config: { hour: 2 } })
        const minute = { ...{ id: limit.id, name: 'rate-limiting', created_at: 1 }, config: { minute: 3 } }
        expect((await send('PUT', collection, minute)).body.config).to.deep.equal({
          ...{ minute: 3, async: false, continue_on_error: false },
        })
      })

      it('are disabled and enabled, by PUT and by PATCH [contract 36, 42, 62]', async () => {
        const made = await make({ name: 'key-auth' })
        const body = { id: made.id, name: 'key-auth', created_at: made.created_at }
        for (const enabled of [false, true]) {
          expect((await send('PUT', collection, { ...body, enabled })).body.enabled).to.equal(enabled)
          expect((await stored(made.id)).enabled).to.equal(enabled)
        }
        for (const path of [collection, '/plugins/']) {
          for (const enabled of [false, true]) {
            const reply = await send('PATCH', path + made.id, { enabled })
            expect(reply.status).to.equal(200)
            expect(reply.body.enabled).to.equal(enabled)
            expect((await stored(made.id)).enabled).to.equal(enabled)
          }
        }
      })

      it('are changed in one value and keep the others [contract 41, 152]', async () => {
        const made = await make({ name: 'key-auth', config: { hide_credentials: true } })
        const reply = await send('PATCH', collection + made.id, { config: { key_names: ['key-updated'] } })
        expect(reply.status).to.equal(200)
        expect(reply.body).to.deep.equal({
          ...made,
          config: { key_names: ['key-updated'], hide_credentials: true },
        })
        expect(await stored(made.id)).to.deep.equal(reply.body)
      })

      it('merge tables of fixed attributes and replace those of free keys', async () => {
        const fixed = await make({ name: 'request-transformer', config: { add: { form: ['f'] } } })
        const merged = await send('PATCH', collection + fixed.id, { config: { add: { headers: ['h'] } } })
        expect(merged.body.config).to.deep.equal({ add: { headers: ['h'], form: ['f'] } })
        const free = await make({
          name: 'response-ratelimiting',
          config: { limits: { video: { minute: 1 } } },
        })
        const replaced = await send('PATCH', collection + free.id, {
          config: { limits: { image: { second: 2 } } },
        })
        expect(replaced.body.config).to.deep.equal({ limits: { image: { second: 2 } } })
      })

      it('are judged by the whole config after the merge', async () => {
        const made = await make({ name: 'rate-limiting', config: { minute: 1 } })
        expect(
          (await send('PATCH', collection + made.id, { config: { async: true } })).body.config,
        ).to.deep.equal({
          ...{ minute: 1, async: true, continue_on_error: false },
        })
      })

      it('of rate-limiting need a limit, and longer periods that allow no less [contract 365, 366]', async () => {
        const post = (config: JsonObject) => send('POST', collection, { name: 'rate-limiting', config })
        const none = 'You need to set at least one limit: second, minute, hour, day, month, year'
        const order = 'The limit for hour cannot be lower than the limit for second'
        for (const [config, text] of [
          [{ async: true }, none],
          [{ hour: 0 }, 'Value for hour must be greater than zero'],
          [{ second: 10, hour: 5 }, order],
        ] as const) {
          const reply = await post(config)
          expect(reply.status).to.equal(400)
          expect(reply.body).to.deep.equal({ config: text })
        }
        const made = await post({ second: 10 })
        expect(made.status).to.equal(201)
        expect(made.body.config).to.deep.equal({ second: 10, async: false, continue_on_error: false })
        const changed = await send('PATCH', collection + made.body.id, { config: { hour: 5 } })
        expect(changed.body).to.deep.equal({ config: order })
        const more = { hour: 20, policy: 'local', limit_by: 'ip' }
        const told = await send('PATCH', collection + made.body.id, { config: more })
        expect(told.body.config).to.deep.equal({ ...made.body.config, ...more })
        const unknown = await send('PATCH', collection + made.body.id, { config: { policy: 'redis' } })
        expect(unknown.body).to.deep.equal({
          'config.policy': '"redis" is not allowed. Allowed values are: "local", "cluster"',
        })
      })

      it('that are not there are not changed [contract 43, 62]', async () => {
        for (const path of [collection, '/plugins/']) {
          expect((await send('PATCH', path + unknownId, { enabled: false })).status).to.equal(404)
        }
      })

      it('do not become another plugin [contract 44]', async () => {
        const { id } = await make({ name: 'key-auth' })
        const unknown = await send('PATCH', collection + id, { name: 'foo' })
        expect(unknown.status).to.equal(400)
        expect(unknown.body).to.deep.equal({ config: 'Plugin "foo" not found' })
        const known = await send('PATCH', collection + id, { name: 'request-transformer' })
        expect(known.status).to.equal(400)
        expect(known.body).to.include({ name: 'name cannot be updated' })
      })

      it('take themselves back with one change, name and all [contract 63]', async () => {
        const { created_at, ...made } = await make({ name: 'key-auth' })
        const reply = await send('PATCH', `/plugins/${made.id}`, { ...made, enabled: false })
        expect(reply.status).to.equal(200)
        expect(reply.body).to.deep.equal({ ...made, created_at, enabled: false })
      })
    })
  }

  it('are listed for an API and for all [contract 38, 60, 151]', async () => {
    const made = await make({ name: 'key-auth' })
    await admin.json('POST', '/apis', { name: 'b', request_host: 'b.com', upstream_url })
    const other = (await admin.json('POST', '/apis/b/plugins', { name: 'key-auth' })).body
    expect((await admin.get(collection)).body).to.deep.equal({ data: [made], total: 1 })
    expect((await admin.get('/plugins')).body.total).to.equal(2)
    expect((await admin.get(`/plugins?api_id=${other.api_id}`)).body.data).to.deep.equal([other])
    expect((await admin.get(`${collection}?api_id=${other.api_id}`)).body.data).to.deep.equal([made])
    expect((await admin.get('/apis/unknown/plugins')).status).to.equal(404)
  })

  it('are read by id, through their own API only [contract 39, 40, 61]', async () => {
    const made = await make({ name: 'key-auth' })
    await admin.json('POST', '/apis', { name: 'b', request_host: 'b.com', upstream_url })
    for (const path of [`/apis/api/plugins/${made.id}`, `/plugins/${made.id}`]) {
      expect((await admin.get(path)).body).to.deep.equal(made)
    }
    for (const method of ['GET', 'DELETE']) {
      expect((await admin.fetch(method, `/apis/b/plugins/${made.id}`)).status).to.equal(404)
    }
    expect((await admin.json('PATCH', `/apis/b/plugins/${made.id}`, { enabled: false })).status).to.equal(404)
    expect((await admin.get(`/plugins/${unknownId}`)).status).to.equal(404)
  })

  it('are not taken from another API by a PUT', async () => {
    const made = await make({ name: 'key-auth' })
    await admin.json('POST', '/apis', { name: 'b', request_host: 'b.com', upstream_url })
    const reply = await admin.json('PUT', '/apis/b/plugins', made)
    expect(reply.status).to.equal(409)
    expect(reply.body).to.deep.equal({ id: `already exists with value '${made.id}'` })
    expect(await stored(made.id)).to.deep.equal(made)
  })

  it('are deleted once [contract 45, 64]', async () => {
    for (const path of [collection, '/plugins/']) {
      const { id } = await make({ name: 'key-auth' })
      const reply = await admin.delete(path + id)
      expect(reply.status).to.equal(204)
      expect(reply.text).to.equal('')
      expect((await admin.delete(path + id)).status).to.equal(404)
    }
  })

  it('go with their API and with their consumer [contract 150]', async () => {
    const { id } = (await admin.json('POST', '/consumers', { username: 'bob' })).body
    await make({ name: 'rate-limiting', config: { minute: 1 }, consumer_id: id })
    await make({ name: 'rate-limiting', config: { minute: 2 } })
    await admin.delete('/consumers/bob')
    expect((await admin.get('/plugins')).body.total).to.equal(1)
    await admin.delete('/apis/api')
    expect((await admin.get('/plugins')).body.total).to.equal(0)
  })

  it('exist once for an API, and once for each consumer of it [contract 148]', async () => {
    const { id } = (await admin.json('POST', '/consumers', { username: 'bob' })).body
    for (const consumer of [{}, { consumer_id: id }]) {
      const body = { name: 'rate-limiting', config: { minute: 1 }, ...consumer }
      expect((await admin.json('POST', collection, body)).status).to.equal(201)
      const twice = await admin.json('POST', collection, body)
      expect(twice.status).to.equal(409)
      expect(twice.text).to.equal('{"message":"Plugin configuration already exists"}\n')
    }
  })

  it('point at what exists [contract 133, 149]', async () => {
    const limit = { name: 'rate-limiting', config: { minute: 1 } }
    const consumer = await admin.json('POST', collection, { ...limit, consumer_id: unknownId })
    expect(consumer.status).to.equal(404)
    expect(consumer.body).to.deep.equal({ consumer_id: `does not exist with value '${unknownId}'` })
    const other = await admin.json('POST', '/plugins', { ...limit, api_id: unknownId })
    expect(other.status).to.equal(404)
    expect(other.body).to.deep.equal({ api_id: `does not exist with value '${unknownId}'` })
    const malformed = await admin.json('POST', collection, { ...limit, consumer_id: 'abc' })
    expect(malformed.status).to.equal(400)
    expect(malformed.body).to.deep.equal({ consumer_id: 'abc is not a valid uuid' })
  })

  it('are refused for a consumer by plugins that run before it is known', async () => {
    const { id } = (await admin.json('POST', '/consumers', { username: 'bob' })).body
    const reply = await admin.json('POST', collection, { name: 'key-auth', consumer_id: id })
    expect(reply.status).to.equal(400)
    expect(reply.body).to.deep.equal({ message: 'No consumer can be configured for that plugin' })
    const made = await make({ name: 'key-auth' })
    expect((await admin.json('PATCH', `/plugins/${made.id}`, { consumer_id: id })).body).to.deep.equal(
      reply.body,
    )
  })

  it('are refused for what their plugin’s fields and rule say', async () => {
    const refused: [JsonObject, JsonObject][] = [
      [{ name: 'foo' }, { config: 'Plugin "foo" not found' }],
      [{ name: 'rate-limiting', config: { minute: 'x' } }, { 'config.minute': 'minute is not a number' }],
      [{ name: 'http-log' }, { 'config.http_endpoint': 'http_endpoint is required' }],
      [
        { name: 'rate-limiting' },
        { config: 'You need to set at least one limit: second, minute, hour, day, month, year' },
      ],
      [{ name: 'key-auth', config: 'x' }, { config: 'config is not a table' }],
      [
        { name: 'key-auth', config: { a: 1 }, b: 2 },
        { 'config.a': 'a is an unknown field', b: 'b is an unknown field' },
      ],
    ]
    for (const [body, errors] of refused) {
      const reply = await admin.json('POST', collection, body)
      expect(reply.status).to.equal(400)
      expect(reply.body).to.deep.equal(errors)
    }
  })

  it('take ids in paths that are ids only', async () => {
    for (const path of [collection, '/plugins/']) {
      for (const bad of ['abc', unknownId.replace('4', 'A'), '%00']) {
        const reply = await admin.get(path + bad)
        expect(reply.status).to.equal(400)
        expect(reply.body).to.deep.equal({ id: `${decodeURIComponent(bad)} is not a valid uuid` })
      }
    }
  })

  it('are made at /plugins for the API that the body names', async () => {
    const reply = await admin.json('POST', '/plugins', { name: 'key-auth', api_id: api.id as string })
    expect(reply.status).to.equal(201)
    expect(reply.body.api_id).to.equal(api.id)
  })

  describe('of all APIs', () => {
    let bob: JsonObject
    const taken = { message: 'Plugin configuration already exists' }
    const limit = { name: 'rate-limiting', config: { hour: 1 } }
    beforeEach(async () => {
      await admin.test.query('delete from plugins')
      bob = (await admin.json('POST', '/consumers', { username: 'bob' })).body
    })

    it('have no api_id, and are not among those of one API', async () => {
      const made = await admin.json('POST', '/plugins', { name: 'key-auth' })
      expect(made.status).to.equal(201)
      expect(made.body).to.have.all.keys('id', 'created_at', 'name', 'enabled', 'config')
      expect(await stored(made.body.id as string)).to.deep.equal(made.body)
      expect((await admin.get('/plugins')).body.total).to.equal(1)
      expect((await admin.get(collection)).body.total).to.equal(0)
      expect((await admin.get(collection + made.body.id)).status).to.equal(404)
    })

    it('are for one consumer, at /plugins or under the consumer', async () => {
      const made = await admin.json('POST', '/consumers/bob/plugins', limit)
      expect(made.status).to.equal(201)
      expect(made.body).to.include({ consumer_id: bob.id }).and.not.have.property('api_id')
      expect(
        (await admin.json('POST', '/plugins', { ...limit, consumer_id: bob.id as string })).status,
      ).to.equal(409)
      const own = await admin.json('POST', '/consumers/bob/plugins', { ...limit, api_id: api.id as string })
      expect(own.status).to.equal(201)
      expect((await admin.get(`/consumers/${bob.id}/plugins`)).body.total).to.equal(2)
      expect((await admin.get(collection)).body.data).to.deep.equal([own.body])
      const changed = await admin.json('PATCH', `/consumers/bob/plugins/${made.body.id}`, { enabled: false })
      expect(changed.body).to.deep.equal({ ...made.body, enabled: false })
      await admin.json('POST', '/consumers', { username: 'eve' })
      expect((await admin.get(`/consumers/eve/plugins/${made.body.id}`)).status).to.equal(404)
      expect((await admin.delete(`/consumers/bob/plugins/${made.body.id}`)).status).to.equal(204)
      expect((await admin.get('/consumers/nobody/plugins')).status).to.equal(404)
    })

    it('go with their consumer', async () => {
      const made = await admin.json('POST', '/consumers/bob/plugins', limit)
      await admin.delete('/consumers/bob')
      expect((await admin.get(`/plugins/${made.body.id}`)).status).to.equal(404)
    })

    it('are not for a consumer where the plugin takes none', async () => {
      for (const path of ['/plugins', '/consumers/bob/plugins']) {
        const reply = await admin.json('POST', path, { name: 'key-auth', consumer_id: bob.id as string })
        expect(reply.status).to.equal(400)
        expect(reply.body).to.deep.equal({ message: 'No consumer can be configured for that plugin' })
      }
    })

    it('are once of a kind, of those that are made at once one', async () => {
      const bodies: JsonObject[] = [limit, { ...limit, consumer_id: bob.id as string }]
      for (const body of bodies) {
        const all = await Promise.all(Array.from({ length: 5 }, () => admin.json('POST', '/plugins', body)))
        expect(all.map(({ status }) => status).sort()).to.deep.equal([201, 409, 409, 409, 409])
        for (const { status, body } of all) if (status === 409) expect(body).to.deep.equal(taken)
      }
      expect((await admin.json('POST', collection, limit)).status, 'of an API').to.equal(201)
    })

    it('are not what one of an API becomes by an attribute that is blank or left out', async () => {
      const made = await make({ name: 'key-auth' })
      const required = { api_id: 'api_id is required' }
      for (const api_id of ['', null]) {
        const reply = await admin.json('PATCH', `/plugins/${made.id}`, { api_id })
        expect(reply.status).to.equal(400)
        expect(reply.body).to.deep.equal(required)
      }
      const { api_id: _, ...rest } = made
      expect((await admin.json('PUT', '/plugins', rest)).body).to.deep.equal(required)
      const global = (await admin.json('POST', '/plugins', limit)).body
      const moved = await admin.json('PATCH', `/plugins/${global.id}`, { api_id: api.id as string })
      expect(moved.body, 'the other way round is fine').to.deep.equal({ ...global, api_id: api.id })
    })
  })
})

describe('/plugins', () => {
  let admin: TestAdmin
  before(async () => {
    admin = await startAdminOnPostgres()
  })
  after(() => admin.stop())

  it('tells which plugins the node has [contract 59]', async () => {
    const names = [
      'key-auth',
      'rate-limiting',
      'ip-restriction',
      'request-transformer',
      'response-ratelimiting',
      'http-log',
    ]
    expect((await admin.get('/plugins/enabled')).body).to.deep.equal({ enabled_plugins: names })
  })

  it('describes a plugin without wearing it out [contract 65]', async () => {
    for (let time = 0; time < 2; time++) {
      expect((await admin.get('/plugins/schema/key-auth')).body).to.deep.equal({
        no_consumer: true,
        fields: {
          key_names: { type: 'array', required: true, default: 'function' },
          hide_credentials: { type: 'boolean', default: false },
        },
      })
    }
    expect((await admin.get('/plugins/schema/rate-limiting')).body).to.include({ self_check: 'function' })
    const api = { name: 'api', request_host: 'api.com', upstream_url }
    await admin.json('POST', '/apis', api)
    const made = await admin.json('POST', '/apis/api/plugins', { name: 'key-auth' })
    expect(made.body.config.key_names).to.deep.equal(['apikey'])
  })

  it('says which plugin it does not know [contract 66]', async () => {
    for (const name of ['foo', 'constructor', '__proto__']) {
      const reply = await admin.get(`/plugins/schema/${name}`)
      expect(reply.status).to.equal(404)
      expect(reply.body).to.deep.equal({ message: `No plugin named '${name}'` })
    }
  })
})
