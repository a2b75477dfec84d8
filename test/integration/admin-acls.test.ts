// The Admin routes of acl, and what its configuration may be.
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import { encodings, sendAs, startAdminOnPostgres, type TestAdmin } from '../support/admin.ts'
import type { TestDatabase } from '../support/postgres.ts'

const unknownId = '00000000-0000-4000-8000-000000000000'
const twice = { group: 'ACL group already exist for this consumer' }
const collection = '/consumers/bob/acls/'

describe('/consumers/{consumer}/acls', () => {
  let admin: TestAdmin & { readonly test: TestDatabase }
  let id: string

  before(async () => {
    admin = await startAdminOnPostgres({ plugins: shippedPlugins })
  })
  after(() => admin.stop())
  beforeEach(async () => {
    await admin.test.query('delete from consumers')
    await admin.test.query('delete from apis')
    id = (await admin.json('POST', '/consumers', { username: 'bob' })).body.id
    await admin.json('POST', '/consumers', { username: 'alice' })
  })

  const make = async (body: JsonObject = { group: 'admin' }) =>
    (await admin.json('POST', collection, body)).body
  const told = ({ status, body }: { status: number; body: unknown }) => [status, body]

  for (const encoding of encodings) {
    describe(`with ${encoding} bodies`, () => {
      const send: ReturnType<typeof sendAs> = (...request) => sendAs(admin, encoding)(...request)

      it('makes an entry, by POST and by PUT, and refuses one without a group [contract 353]', async () => {
        for (const method of ['POST', 'PUT']) {
          const made = await send(method, collection, { group: method })
          expect(made.status).to.equal(201)
          expect(made.body).to.have.keys('id', 'created_at', 'consumer_id', 'group')
          expect(made.body).to.include({ consumer_id: id, group: method })
          const missing = await send(method, collection, {})
          expect(told(missing)).to.deep.equal([400, { group: 'group is required' }])
        }
      })

      it('changes the group by PATCH [contract 354]', async () => {
        const made = await make()
        const reply = await send('PATCH', collection + made.id, { group: 'pro' })
        expect(told(reply)).to.deep.equal([200, { ...made, group: 'pro' }])
      })

      it('refuses the same group twice for one consumer, however it comes about', async () => {
        const made = await make()
        const other = await make({ group: 'other' })
        for (const method of ['POST', 'PUT'])
          expect(told(await send(method, collection, { group: 'admin' }))).to.deep.equal([400, twice])
        expect(told(await send('PATCH', collection + other.id, { group: 'admin' }))).to.deep.equal([
          400,
          twice,
        ])
        expect(told(await send('PUT', collection, { id: other.id, group: 'admin' }))).to.deep.equal([
          400,
          twice,
        ])
        expect((await admin.get(collection)).body.data).to.have.deep.members([made, other])
        expect((await send('POST', '/consumers/alice/acls', { group: 'admin' })).status).to.equal(201)
        expect((await send('PATCH', collection + made.id, { group: 'admin' })).status).to.equal(200)
      })
    })
  }

  it('of many that are made at once, one is made', async () => {
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => admin.json('POST', collection, { group: 'a' })),
    )
    expect(replies.map(({ status }) => status).sort()).to.deep.equal([201, ...Array(9).fill(400)])
    expect(replies.find(({ status }) => status === 400)?.body).to.deep.equal(twice)
  })

  it('refuses a group without a value [contract 354]', async () => {
    const made = await make()
    const reply = await admin.form('PATCH', collection + made.id, 'group')
    expect(told(reply)).to.deep.equal([400, { group: 'group is not a string' }])
  })

  it('lists and reads [contract 353]', async () => {
    const made = [await make(), await make({ group: 'pro' })]
    await admin.json('POST', '/consumers/alice/acls', { group: 'other' })
    const { data, total } = (await admin.get(collection)).body
    expect(total).to.equal(2)
    expect(data).to.have.deep.members(made)
    expect((await admin.get(`${collection}?group=pro`)).body).to.deep.equal({ data: [made[1]], total: 1 })
    for (const row of made) expect((await admin.get(collection + row.id)).body).to.deep.equal(row)
  })

  it('deletes once, by an id that is one [contract 355]', async () => {
    const made = await make()
    for (const method of ['GET', 'DELETE']) {
      const malformed = await admin.fetch(method, `${collection}blah`)
      expect(told(malformed)).to.deep.equal([400, { message: 'blah is not a valid uuid' }])
      expect((await admin.fetch(method, collection + unknownId)).status).to.equal(404)
    }
    expect((await admin.delete(collection + made.id)).status).to.equal(204)
    expect((await admin.delete(collection + made.id)).status).to.equal(404)
  })

  it('reaches an entry through its own consumer only, and gives none to another', async () => {
    const made = await make()
    const foreign = `/consumers/alice/acls/${made.id}`
    expect((await admin.get(foreign)).status).to.equal(404)
    expect((await admin.json('PATCH', foreign, { group: 'x' })).status).to.equal(404)
    expect((await admin.delete(foreign)).status).to.equal(404)
    const put = await admin.json('PUT', '/consumers/alice/acls', { id: made.id, group: 'x' })
    expect(put.status).to.equal(409)
    const other = (await admin.get('/consumers/alice')).body.id
    expect((await admin.json('PATCH', collection + made.id, { consumer_id: other })).body).to.deep.equal(made)
  })

  it('goes with its consumer, and is counted', async () => {
    await make()
    expect((await admin.get('/status')).body.database.acls).to.equal(1)
    await admin.delete('/consumers/bob')
    expect((await admin.get('/status')).body.database.acls).to.equal(0)
  })

  describe('a configuration', () => {
    let path: string
    beforeEach(async () => {
      const api = { name: 'a', request_host: 'a.com', upstream_url: 'http://a.com' }
      await admin.json('POST', '/apis', api)
      path = '/apis/a/plugins'
    })

    it('has one of two lists', async () => {
      const both = { config: 'You cannot set both a whitelist and a blacklist' }
      const none = { config: 'You must set at least a whitelist or blacklist' }
      const post = (config: string) => admin.form('POST', path, `name=acl&${config}`)
      expect(told(await post(''))).to.deep.equal([400, none])
      expect(told(await post('config.whitelist='))).to.deep.equal([400, none])
      expect(told(await post('config.whitelist=a&config.blacklist=b'))).to.deep.equal([400, both])
      const made = await post('config.whitelist=a, b')
      expect(made.body.config).to.deep.equal({ whitelist: ['a', 'b'] })
      const one = `${path}/${made.body.id}`
      // What counts is what comes of a change.
      expect(told(await admin.form('PATCH', one, 'config.blacklist=c'))).to.deep.equal([400, both])
      const changed = await admin.form('PATCH', one, 'config.whitelist=&config.blacklist=c')
      expect(changed.body.config).to.deep.equal({ whitelist: [], blacklist: ['c'] })
    })

    it('is for all consumers', async () => {
      const reply = await admin.json('POST', path, {
        name: 'acl',
        consumer_id: id,
        config: { whitelist: ['a'] },
      })
      expect(told(reply)).to.deep.equal([400, { message: 'No consumer can be configured for that plugin' }])
    })

    it('is described as in 0.8', async () => {
      expect((await admin.get('/plugins/schema/acl')).body).to.deep.equal({
        no_consumer: true,
        fields: { whitelist: { type: 'array' }, blacklist: { type: 'array' } },
        self_check: 'function',
      })
    })
  })
})
