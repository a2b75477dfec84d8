// The Admin routes of credentials that are made like keys, kind by kind.
import { expect } from 'chai'
import { PluginShapes } from '../../src/admin/plugin-shapes.ts'
import { Redaction } from '../../src/admin/redaction.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { isPassword } from '../../src/plugins/basic-auth/password-hash.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import { encodings, sendAs, startAdminOnPostgres } from '../support/admin.ts'
import { cheapHash, oldHash } from '../support/passwords.ts'

const unknownId = '00000000-0000-4000-8000-000000000000'

interface Kind {
  readonly path: string
  readonly entity: string
  /** The attribute that is unique. */
  readonly name: string
  readonly secret: string
  /** What must be given. */
  readonly required?: readonly string[]
  readonly body: JsonObject
  /** Attributes of a new one besides those that were given. */
  readonly defaults: JsonObject
  /** Under which attribute an id that is none is told. */
  readonly wrongId: 'id' | 'message'
}

const kinds: readonly Kind[] = [
  {
    ...{ path: 'jwt', entity: 'jwt_secrets', name: 'key', secret: 'secret', wrongId: 'message' },
    body: { key: 'bobs', secret: 'sesame' },
    defaults: { algorithm: 'HS256' },
  },
  {
    ...{ path: 'hmac-auth', entity: 'hmacauth_credentials', name: 'username', secret: 'secret' },
    ...{ wrongId: 'message', required: ['username'] },
    body: { username: 'bobs', secret: 'sesame' },
    defaults: { secret: 'sesame' },
  },
  {
    ...{ path: 'basic-auth', entity: 'basicauth_credentials', name: 'username', secret: 'password' },
    ...{ wrongId: 'id', required: ['username'] },
    body: { username: 'bobs', password: 'sesame' },
    defaults: {},
  },
  {
    ...{ path: 'oauth2', entity: 'oauth2_credentials', name: 'client_id', secret: 'client_secret' },
    ...{ wrongId: 'message', required: ['name', 'redirect_uri'] },
    body: {
      ...{ client_id: 'bobs', client_secret: 'sesame', name: 'an app' },
      redirect_uri: ['http://google.com/'],
    },
    defaults: { name: 'an app', redirect_uri: ['http://google.com/'] },
  },
]

let admin: Awaited<ReturnType<typeof startAdminOnPostgres>>
before(async () => {
  admin = await startAdminOnPostgres({ plugins: shippedPlugins })
})
after(() => admin.stop())

const redaction = new Redaction(
  shippedPlugins.flatMap(({ entities }) => entities),
  new PluginShapes(shippedPlugins),
)
const told = ({ status, body }: { status: number; body: unknown }) => [status, body]

for (const { path, entity, name, secret, required, body, defaults, wrongId } of kinds) {
  const collection = `/consumers/bob/${path}/`

  describe(`/consumers/{consumer}/${path}`, () => {
    let id: string
    beforeEach(async () => {
      await admin.test.query('delete from consumers')
      id = (await admin.json('POST', '/consumers', { username: 'bob' })).body.id
      await admin.json('POST', '/consumers', { username: 'alice' })
    })
    const make = async (own: JsonObject = body) => {
      const made = await admin.json('POST', collection, own)
      expect(made.status, made.text).to.equal(201)
      return made.body
    }

    for (const encoding of encodings) {
      it(`makes by POST and by PUT, from ${encoding} bodies [contract 192, 194, 195, 234, 235, 252, 253, 326, 327]`, async () => {
        for (const method of ['POST', 'PUT']) {
          const made = await sendAs(admin, encoding)(method, collection, body)
          expect(made.status, made.text).to.equal(201)
          const { id: own, created_at, ...rest } = made.body
          expect(rest).to.deep.include({ ...defaults, [name]: body[name], consumer_id: id })
          await admin.delete(collection + own)
          const empty = await sendAs(admin, encoding)(method, collection, {})
          const missing = required?.map((attribute) => [attribute, `${attribute} is required`])
          if (missing) expect(told(empty)).to.deep.equal([400, Object.fromEntries(missing)])
          else expect(empty.status).to.equal(201)
        }
      })

      it(`changes the ${name} by PATCH, and nothing besides, from ${encoding} bodies [contract 197, 236, 254]`, async () => {
        const made = await make()
        const changed = await sendAs(admin, encoding)('PATCH', collection + made.id, { [name]: 'new' })
        expect(told(changed)).to.deep.equal([200, { ...made, [name]: 'new' }])
      })
    }

    it(`refuses a ${name} without a value [contract 197, 236]`, async () => {
      const made = await make()
      const reply = await admin.form('PATCH', collection + made.id, name)
      expect(told(reply)).to.deep.equal([400, { [name]: `${name} is not a string` }])
    })

    it(`refuses a ${name} that another consumer has`, async () => {
      await make()
      const reply = await admin.json('POST', `/consumers/alice/${path}`, { ...body, [secret]: 'another' })
      expect(told(reply)).to.deep.equal([409, { [name]: `already exists with value '${body[name]}'` }])
    })

    it('lists those of the consumer, and reads each [contract 196, 236, 254, 329]', async () => {
      const one = await make()
      const two = await make({ ...body, [name]: 'two', [secret]: 'another' })
      await admin.json('POST', `/consumers/alice/${path}`, { ...body, [name]: 'other', [secret]: 'x' })
      const { data, total } = (await admin.get(collection)).body
      expect(total).to.equal(2)
      expect(data).to.have.deep.members([one, two])
      expect((await admin.get(`${collection}?${name}=two`)).body).to.deep.equal({ data: [two], total: 1 })
      for (const row of [one, two]) expect((await admin.get(collection + row.id)).body).to.deep.equal(row)
    })

    it('deletes once, by an id that is one [contract 198, 237, 255, 330]', async () => {
      const made = await make()
      const malformed = await admin.delete(`${collection}blah`)
      expect(told(malformed)).to.deep.equal([400, { [wrongId]: 'blah is not a valid uuid' }])
      expect((await admin.delete(collection + unknownId)).status).to.equal(404)
      expect((await admin.delete(collection + made.id)).status).to.equal(204)
      expect((await admin.delete(collection + made.id)).status).to.equal(404)
    })

    it('reaches one through its own consumer only, and gives it to no other [contract 196]', async () => {
      const made = await make()
      const foreign = `/consumers/alice/${path}/${made.id}`
      expect((await admin.get(foreign)).status).to.equal(404)
      expect((await admin.json('PATCH', foreign, { [name]: 'x' })).status).to.equal(404)
      expect((await admin.delete(foreign)).status).to.equal(404)
      const alice = (await admin.get('/consumers/alice')).body.id
      const patched = await admin.json('PATCH', collection + made.id, { consumer_id: alice })
      expect(told(patched)).to.deep.equal([200, made])
    })

    it('goes with its consumer, and is counted', async () => {
      await make()
      expect((await admin.get('/status')).body.database[entity]).to.equal(1)
      await admin.delete('/consumers/bob')
      expect((await admin.get('/status')).body.database[entity]).to.equal(0)
    })

    it(`has a ${secret} that nobody sees in events`, async () => {
      const { body: row } = await admin.get(collection + (await make()).id)
      const event = {
        ...{ position: 1, first: 1, at: 0, digest: '', actor: null, schema: 1, old: null, new: row },
      }
      const shown = redaction.show({ ...event, entity, operation: 'create' })
      expect(shown.new).to.deep.equal({ ...row, [secret]: '******' })
    })

    it('belongs to a plugin for all consumers', async () => {
      await admin.test.query('delete from apis')
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url: 'http://a.com' })
      const reply = await admin.json('POST', '/apis/a/plugins', { name: path, consumer_id: id })
      expect(told(reply)).to.deep.equal([400, { message: 'No consumer can be configured for that plugin' }])
      expect((await admin.json('POST', '/apis/a/plugins', { name: path })).status).to.equal(201)
    })
  })
}

describe('jwt credentials', () => {
  const collection = '/consumers/bob/jwt/'
  beforeEach(async () => {
    await admin.test.query('delete from consumers')
    await admin.json('POST', '/consumers', { username: 'bob' })
  })

  it('have a random key and secret where none is given [contract 252, 253]', async () => {
    for (const method of ['POST', 'PUT']) {
      const { body } = await admin.json(method, collection, { key: '' })
      expect(body.key).to.match(/^[0-9a-f]{32}$/)
      expect(body.secret).to.match(/^[0-9a-f]{32}$/)
      expect(body.secret).to.not.equal(body.key)
      expect(body).to.not.have.property('rsa_public_key')
    }
  })

  it('have one algorithm, of those that there are', async () => {
    for (const algorithm of ['RS256', 'ES384', 'HS512']) {
      const { body } = await admin.json('POST', collection, { algorithm, rsa_public_key: 'PEM' })
      expect(body).to.include({ algorithm, rsa_public_key: 'PEM' })
    }
    const none = await admin.json('POST', collection, { algorithm: 'none' })
    expect(none.status).to.equal(400)
    expect(none.body.algorithm).to.match(/^"none" is not allowed\. Allowed values are: "HS256", /)
  })

  it('are configured as 0.8 does, the claims of two words', async () => {
    await admin.test.query('delete from apis')
    await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url: 'http://a.com' })
    const wrong = await admin.form('POST', '/apis/a/plugins', 'name=jwt&config.claims_to_verify=exp,iat')
    expect(told(wrong)).to.deep.equal([
      400,
      { 'config.claims_to_verify': '"iat" is not allowed. Allowed values are: "exp", "nbf"' },
    ])
    const made = await admin.form('POST', '/apis/a/plugins', 'name=jwt&config.claims_to_verify=exp')
    expect(made.body.config).to.deep.equal({
      ...{ uri_param_names: ['jwt'], key_claim_name: 'iss', secret_is_base64: false },
      claims_to_verify: ['exp'],
    })
  })
})

describe('passwords of basic-auth', () => {
  const collection = '/consumers/bob/basic-auth/'
  beforeEach(async () => {
    await admin.test.query('delete from consumers')
    await admin.json('POST', '/consumers', { username: 'bob' })
  })

  const hashed = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/
  const make = async (password: string) =>
    (await admin.json('POST', collection, { username: 'bobs', password })).body

  it('are stored and shown as their salted hash [contract 193]', async () => {
    const made = await make(' told to nobody ')
    expect(made.password).to.match(hashed)
    expect(await isPassword('told to nobody', made.password)).to.equal(true)
    const rows = await admin.test.query('select password from basicauth_credentials')
    expect(rows).to.deep.equal([{ password: made.password }])
    const events = await admin.test.query(`select 1 from events where body like '%told to nobody%'`)
    expect(events).to.deep.equal([])
  })

  it('that come back as they were shown are not hashed again, whoever made them', async () => {
    const made = await make('sesame')
    const old = { ...made, password: oldHash('sesame', made.consumer_id) }
    for (const row of [made, old]) {
      await admin.test.query('update basicauth_credentials set password = $1', [row.password])
      expect((await admin.json('PATCH', collection + made.id, row)).body).to.deep.equal(row)
      expect((await admin.json('PUT', collection, row)).body).to.deep.equal(row)
      const renamed = await admin.json('PATCH', collection + made.id, { username: 'x' })
      expect(renamed.body.password).to.equal(row.password)
      await admin.json('PATCH', collection + made.id, { username: 'bobs' })
    }
  })

  it('that are changed are hashed, also when they look like a hash', async () => {
    const made = await make('sesame')
    for (const [method, password] of [
      ['PATCH', oldHash('x', made.consumer_id)],
      ['PATCH', cheapHash('x')],
      ['PUT', 'sesame'],
    ] as const) {
      const path = method === 'PUT' ? collection : collection + made.id
      const { body } = await admin.json(method, path, { ...made, password })
      expect(body.password).to.match(hashed).not.equal(made.password)
      expect(await isPassword(password, body.password)).to.equal(true)
    }
  })

  it('may be missing, and be taken away', async () => {
    const made = await admin.json('POST', collection, { username: 'none' })
    expect(made.status).to.equal(201)
    expect(made.body).to.not.have.property('password')
    const { id } = await make('sesame')
    const changed = await admin.json('PATCH', collection + id, { password: null })
    expect(changed.body).to.not.have.property('password')
    const wrong = await admin.json('PATCH', collection + id, { password: 5 })
    expect(told(wrong)).to.deep.equal([400, { password: 'password is not a string' }])
  })
})

describe('the configuration of hmac-auth', () => {
  it('has a clock_skew that is not negative [contract 239]', async () => {
    await admin.test.query('delete from apis')
    await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url: 'http://a.com' })
    const post = (config: JsonObject) => admin.json('POST', '/apis/a/plugins', { name: 'hmac-auth', config })
    expect(told(await post({ clock_skew: -10 }))).to.deep.equal([
      400,
      { 'config.clock_skew': 'Clock Skew should be positive' },
    ])
    const made = await post({})
    expect(made.body.config).to.deep.equal({ hide_credentials: false, clock_skew: 300 })
    const changed = await admin.json('PATCH', `/apis/a/plugins/${made.body.id}`, {
      config: { clock_skew: 10 },
    })
    expect(changed.body.config.clock_skew).to.equal(10)
  })
})
