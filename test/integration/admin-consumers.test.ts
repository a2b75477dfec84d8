import { expect } from 'chai'
import { encodings, sendAs, startAdminOnPostgres, type TestAdmin } from '../support/admin.ts'
import type { TestDatabase } from '../support/postgres.ts'

const unknownId = '00000000-0000-4000-8000-000000000000'
const either = "At least a 'custom_id' or a 'username' must be specified"
const noName = { custom_id: either, username: either }

let admin: TestAdmin & { readonly test: TestDatabase }

async function makeConsumer(username = 'bob', more: object = {}) {
  return (await admin.json('POST', '/consumers/', { username, ...more })).body
}

describe('/consumers', () => {
  before(async () => {
    admin = await startAdminOnPostgres()
  })
  after(() => admin.stop())
  afterEach(() => admin.test.query('delete from consumers'))

  for (const encoding of encodings) {
    describe(`with ${encoding} bodies`, () => {
      const send: ReturnType<typeof sendAs> = (...request) => sendAs(admin, encoding)(...request)

      it('creates a consumer, by POST and by PUT without id [contract 46, 49]', async () => {
        for (const method of ['POST', 'PUT']) {
          const reply = await send(method, '/consumers/', { username: method })
          expect(reply.status).to.equal(201)
          expect(reply.body).to.have.keys('id', 'created_at', 'username')
          expect(reply.body.username).to.equal(method)
        }
      })

      it('refuses one without a name [contract 47, 52]', async () => {
        for (const method of ['POST', 'PUT']) {
          const reply = await send(method, '/consumers/', {})
          expect(reply.status).to.equal(400)
          expect(reply.body).to.deep.equal(noName)
        }
      })

      it('refuses a name that is taken, custom ones too [contract 48, 52, 133, 138]', async () => {
        await makeConsumer('bob', { custom_id: '7' })
        const username = await send('POST', '/consumers/', { username: 'bob' })
        expect(username.status).to.equal(409)
        expect(username.body).to.deep.equal({ username: "already exists with value 'bob'" })
        const custom = await send('PUT', '/consumers/', { custom_id: '7' })
        expect(custom.status).to.equal(409)
        expect(custom.body).to.deep.equal({ custom_id: "already exists with value '7'" })
      })

      it('replaces by PUT with id, what is not given is gone [contract 50, 51, 145]', async () => {
        const made = await makeConsumer()
        const full = { id: made.id, username: 'alice', custom_id: '42', created_at: made.created_at }
        const reply = await send('PUT', '/consumers/', full)
        expect(reply.status).to.equal(200)
        expect(reply.body).to.deep.equal(full)
        const { custom_id, ...less } = full
        expect((await send('PUT', '/consumers/', less)).body).to.deep.equal(less)
        expect((await admin.get('/consumers/alice')).body).to.deep.equal(less)
        expect(custom_id).to.equal('42')
      })

      it('changes one by id and by name [contract 56]', async () => {
        const made = await makeConsumer()
        expect((await send('PATCH', `/consumers/${made.id}`, { username: 'alice' })).body.username).to.equal(
          'alice',
        )
        const reply = await send('PATCH', '/consumers/alice', { username: 'carol' })
        expect(reply.status).to.equal(200)
        expect((await admin.get(`/consumers/${made.id}`)).body).to.deep.equal({ ...made, username: 'carol' })
        expect((await send('PATCH', '/consumers/unknown', { username: 'x' })).status).to.equal(404)
      })
    })
  }

  it('does not take the last name away [contract 57]', async () => {
    const made = await makeConsumer()
    const blank = await admin.json('PATCH', '/consumers/bob', { username: '', custom_id: '' })
    expect(blank.status).to.equal(400)
    expect(blank.body).to.deep.equal(noName)
    const bare = await admin.form('PATCH', '/consumers/bob', 'username&custom_id')
    expect(bare.status).to.equal(400)
    expect(bare.body).to.deep.equal({
      username: 'username is not a string',
      custom_id: 'custom_id is not a string',
    })
    expect((await admin.get('/consumers/bob')).body).to.deep.equal(made)
  })

  it('lists in pages and by filters [contract 53, 54]', async () => {
    for (let n = 0; n < 10; n++) await makeConsumer(`consumer-${n}`, { custom_id: `id-${n}` })
    const names: string[] = []
    const sizes: number[] = []
    let next: string | undefined = `${admin.origin}/consumers/?size=3`
    while (next) {
      const { body } = await admin.get(next.slice(admin.origin.length))
      expect(body.total).to.equal(10)
      sizes.push(body.data.length)
      names.push(...body.data.map(({ username }: { username: string }) => username))
      next = body.next
    }
    expect(sizes).to.deep.equal([3, 3, 3, 1])
    expect(new Set(names).size).to.equal(10)
    expect((await admin.get('/consumers/?custom_id=id-4')).body.data[0].username).to.equal('consumer-4')
    const unknown = await admin.get('/consumers/?foo=bar')
    expect(unknown.status).to.equal(400)
    expect(unknown.body).to.deep.equal({ foo: 'unknown field' })
  })

  it('reads and deletes by id and by name [contract 55, 58]', async () => {
    const made = await makeConsumer('bob smith/2')
    for (const name of [made.id, 'bob%20smith%2F2']) {
      expect((await admin.get(`/consumers/${name}`)).body).to.deep.equal(made)
    }
    const reply = await admin.delete('/consumers/bob%20smith%2F2')
    expect(reply.status).to.equal(204)
    expect(reply.text).to.equal('')
    const other = await makeConsumer()
    expect((await admin.delete(`/consumers/${other.id}`)).status).to.equal(204)
    for (const name of ['bob', unknownId]) {
      expect((await admin.get(`/consumers/${name}`)).status).to.equal(404)
      expect((await admin.delete(`/consumers/${name}`)).status).to.equal(404)
    }
  })
})

describe('rows, as any collection has them', () => {
  before(async () => {
    admin = await startAdminOnPostgres()
  })
  after(() => admin.stop())
  afterEach(() => admin.test.query('delete from consumers'))

  const total = async (query = '') => (await admin.get(`/consumers${query}`)).body.total

  it('are refused with all that is wrong by attribute, and then nothing is stored [contract 139]', async () => {
    const wrong = { username: 5, custom_id: [], extra: 1 }
    const { status, body } = await admin.json('POST', '/consumers', wrong)
    expect(status).to.equal(400)
    expect(body).to.deep.equal({
      username: 'username is not a string',
      custom_id: 'custom_id is not a string',
      extra: 'extra is an unknown field',
    })
    expect(await total()).to.equal(0)
  })

  it('are found by id; an id that is none is told, one without a row is not found [contract 140]', async () => {
    const made = await makeConsumer()
    expect((await admin.get(`/consumers/${made.id}`)).body).to.deep.equal(made)
    expect((await admin.get(`/consumers/${unknownId}`)).status).to.equal(404)
    const malformed = await admin.get('/plugins/abc')
    expect([malformed.status, malformed.body]).to.deep.equal([400, { id: 'abc is not a valid uuid' }])
  })

  it('are counted, all or those that match, and not by what is no attribute [contract 143]', async () => {
    expect(await total()).to.equal(0)
    for (const username of ['a', 'b', 'c']) await makeConsumer(username)
    expect(await total()).to.equal(3)
    expect(await total('?size=0')).to.equal(3)
    expect(await total('?username=b&size=0')).to.equal(1)
    expect(await total('?username=z')).to.equal(0)
    const unknown = await admin.get('/consumers?nobody=1')
    expect([unknown.status, unknown.body]).to.deep.equal([400, { nobody: 'unknown field' }])
  })

  it('are changed in what is given, as a whole or not at all [contract 144]', async () => {
    const bob = await makeConsumer('bob', { custom_id: '7' })
    await makeConsumer('alice')
    const patch = (body: object) => admin.json('PATCH', `/consumers/${bob.id}`, body as never)
    expect((await patch({ username: 'robert' })).body).to.deep.equal({ ...bob, username: 'robert' })
    const both = { ...bob, username: 'rob', custom_id: '8' }
    expect((await patch({ username: 'rob', custom_id: '8' })).body).to.deep.equal(both)
    expect((await patch({ custom_id: '9', username: 'alice' })).status).to.equal(409)
    expect((await patch({ custom_id: '9', username: false })).status).to.equal(400)
    expect((await admin.get(`/consumers/${bob.id}`)).body).to.deep.equal(both)
    expect((await admin.json('PATCH', `/consumers/${unknownId}`, { username: 'x' })).status).to.equal(404)
  })
})

describe('/consumers/{consumer}/key-auth', () => {
  let id: string
  before(async () => {
    admin = await startAdminOnPostgres()
  })
  after(() => admin.stop())
  beforeEach(async () => {
    await admin.test.query('delete from consumers')
    id = (await makeConsumer()).id
    await makeConsumer('alice')
  })

  const collection = '/consumers/bob/key-auth/'
  const make = async (body = { key: '1234' }) => (await admin.json('POST', collection, body)).body

  for (const encoding of encodings) {
    it(`makes credentials, keys made up where absent or blank, from ${encoding} bodies [contract 168, 169, 174]`, async () => {
      const send = sendAs(admin, encoding)
      for (const method of ['POST', 'PUT']) {
        const given = await send(method, collection, { key: method })
        expect(given.status).to.equal(201)
        expect(given.body).to.include({ key: method, consumer_id: id })
        expect(given.body).to.have.keys('id', 'created_at', 'consumer_id', 'key')
        for (const body of [{}, { key: '' }] as { key?: string }[]) {
          const made = await send(method, collection, body as never)
          expect(made.status).to.equal(201)
          expect(made.body.key).to.match(/^[0-9a-f]{32}$/)
        }
      }
    })

    it(`changes a key by PATCH from ${encoding} bodies [contract 172]`, async () => {
      const made = await make()
      const reply = await sendAs(admin, encoding)('PATCH', collection + made.id, { key: '4321' })
      expect(reply.status).to.equal(200)
      expect(reply.body).to.deep.equal({ ...made, key: '4321' })
    })
  }

  it('refuses a key without a value [contract 172]', async () => {
    const made = await make()
    const reply = await admin.form('PATCH', collection + made.id, 'key')
    expect(reply.status).to.equal(400)
    expect(reply.body).to.deep.equal({ key: 'key is not a string' })
  })

  it('lists the keys of the consumer, filtered by key, too [contract 170, 174]', async () => {
    for (const key of ['a', 'b', 'c']) await make({ key })
    await admin.json('POST', '/consumers/alice/key-auth', { key: 'd' })
    const keys = async (query: string) => {
      const { data } = (await admin.get(collection + query)).body
      return data.map(({ key }: { key: string }) => key).sort()
    }
    expect(await keys('')).to.deep.equal(['a', 'b', 'c'])
    expect(await keys('?key=b')).to.deep.equal(['b'])
    expect(await keys('?key=')).to.deep.equal([])
    expect(await keys('?key=d')).to.deep.equal([])
  })

  it('reaches a key through its own consumer only [contract 171]', async () => {
    const made = await make()
    expect((await admin.get(collection + made.id)).body).to.deep.equal(made)
    const foreign = `/consumers/alice/key-auth/${made.id}`
    expect((await admin.get(foreign)).status).to.equal(404)
    expect((await admin.json('PATCH', foreign, { key: 'x' })).status).to.equal(404)
    expect((await admin.delete(foreign)).status).to.equal(404)
    expect((await admin.json('PUT', '/consumers/alice/key-auth', { id: made.id, key: 'x' })).status).to.equal(
      409,
    )
    expect((await admin.get(collection + made.id)).body).to.deep.equal(made)
  })

  it('does not give a key to the consumer that a body names', async () => {
    const other = (await admin.get('/consumers/alice')).body.id
    const made = (await admin.json('POST', collection, { key: 'a', consumer_id: other })).body
    expect(made.consumer_id).to.equal(id)
    const patched = await admin.json('PATCH', collection + made.id, { consumer_id: other })
    expect(patched.body.consumer_id).to.equal(id)
  })

  it('replaces by PUT with id, without created_at, too', async () => {
    const made = await make()
    const reply = await admin.json('PUT', collection, { id: made.id, key: 'new' })
    expect(reply.status).to.equal(200)
    expect(reply.body).to.deep.equal({ ...made, key: 'new' })
  })

  it('deletes once, by an id that is one [contract 173]', async () => {
    const made = await make()
    const malformed = await admin.delete(`${collection}blah`)
    expect(malformed.status).to.equal(400)
    expect(malformed.body).to.deep.equal({ id: 'blah is not a valid uuid' })
    expect((await admin.delete(collection + unknownId)).status).to.equal(404)
    expect((await admin.delete(collection + made.id)).status).to.equal(204)
    expect((await admin.delete(collection + made.id)).status).to.equal(404)
  })

  it('looks for the consumer before anything else', async () => {
    expect((await admin.get('/consumers/unknown/key-auth/blah')).status).to.equal(404)
    const broken = { body: '{', headers: { 'content-type': 'application/json' } }
    expect((await admin.fetch('POST', '/consumers/unknown/key-auth', broken)).status).to.equal(404)
  })

  it('refuses a key that another consumer has', async () => {
    await make()
    const reply = await admin.json('POST', '/consumers/alice/key-auth', { key: '1234' })
    expect(reply.status).to.equal(409)
    expect(reply.body).to.deep.equal({ key: "already exists with value '1234'" })
  })

  it('forgets the keys with their consumer [contract 150]', async () => {
    await make()
    await admin.delete('/consumers/bob')
    expect((await admin.get('/status')).body.database.keyauth_credentials).to.equal(0)
  })
})
