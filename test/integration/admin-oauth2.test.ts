// The Admin routes of oauth2's applications and tokens, beyond what credentials of all kinds have in common.
import { expect } from 'chai'
import { PluginShapes } from '../../src/admin/plugin-shapes.ts'
import { Redaction } from '../../src/admin/redaction.ts'
import type { JsonObject } from '../../src/base/json.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import { encodings, sendAs, startAdminOnPostgres } from '../support/admin.ts'

const unknownId = '00000000-0000-4000-8000-000000000000'
const applications = '/consumers/bob/oauth2/'
const uri = 'http://google.com/'

describe('the Admin API of oauth2', () => {
  let admin: Awaited<ReturnType<typeof startAdminOnPostgres>>
  let consumerId: string
  before(async () => {
    admin = await startAdminOnPostgres({ plugins: shippedPlugins })
  })
  after(() => admin.stop())
  beforeEach(async () => {
    for (const table of ['consumers', 'apis']) await admin.test.query(`delete from ${table}`)
    consumerId = (await admin.json('POST', '/consumers', { username: 'bob' })).body.id
  })

  const told = ({ status, body }: { status: number; body: unknown }) => [status, body]
  const make = async (own: JsonObject = {}) => {
    const made = await admin.json('POST', applications, { name: 'an app', redirect_uri: [uri], ...own })
    expect(made.status, made.text).to.equal(201)
    return made.body
  }

  describe('applications', () => {
    for (const encoding of encodings) {
      it(`have random names and secrets, and one or more URIs, from ${encoding} bodies [contract 326, 329]`, async () => {
        for (const redirect_uri of [[uri], [uri, 'app://open/here?a=b']]) {
          for (const method of ['POST', 'PUT']) {
            const body = { name: 'an app', redirect_uri }
            const made = await sendAs(admin, encoding)(method, applications, body)
            expect(made.status, made.text).to.equal(201)
            expect(made.body).to.deep.include({ ...body, consumer_id: consumerId })
            expect(made.body.client_id).to.match(/^[0-9a-f]{32}$/)
            expect(made.body.client_secret).to.match(/^[0-9a-f]{32}$/)
          }
        }
        const spaced = await admin.form('POST', applications, `name=x&redirect_uri=${uri}, http://b.com/`)
        expect(spaced.body.redirect_uri).to.deep.equal([uri, 'http://b.com/'])
      })
    }

    it('need a name and a URI [contract 327]', async () => {
      const missing = { redirect_uri: 'redirect_uri is required', name: 'name is required' }
      for (const method of ['POST', 'PUT']) {
        expect(told(await admin.json(method, applications, {}))).to.deep.equal([400, missing])
      }
    })

    it('are told the first URI that is none, or has a fragment [contract 328]', async () => {
      const cases: [string[], string][] = [
        [['not-valid'], `cannot parse 'not-valid'`],
        [['/only/a/path'], `cannot parse '/only/a/path'`],
        [['http://'], `cannot parse 'http://'`],
        [['http://a.com/\nb'], `cannot parse 'http://a.com/\nb'`],
        [[`${uri}#with-fragment`], `fragment not allowed in '${uri}#with-fragment'`],
        [[uri, 'not-valid'], `cannot parse 'not-valid'`],
        [[uri, `${uri}#f`, 'not-valid'], `fragment not allowed in '${uri}#f'`],
        [[], 'at least one URI is required'],
      ]
      for (const [redirect_uri, text] of cases) {
        const reply = await admin.json('POST', applications, { name: 'an app', redirect_uri })
        expect(told(reply)).to.deep.equal([400, { redirect_uri: text }])
      }
    })

    it('change their URIs, and not to nothing [contract 329]', async () => {
      const made = await make()
      const changed = await admin.form('PATCH', applications + made.id, { redirect_uri: 'http://b.com/' })
      expect(told(changed)).to.deep.equal([200, { ...made, redirect_uri: ['http://b.com/'] }])
      const blank = await admin.form('PATCH', applications + made.id, 'redirect_uri')
      expect(told(blank)).to.deep.equal([400, { redirect_uri: 'redirect_uri is not a array' }])
    })

    it('of all consumers are listed at /oauth2, and made and read nowhere but under their own', async () => {
      await admin.json('POST', '/consumers', { username: 'ann' })
      const one = await make()
      const two = await admin.json('POST', '/consumers/ann/oauth2', { name: 'b', redirect_uri: [uri] })
      const all = await admin.get('/oauth2')
      expect(all.body.total).to.equal(2)
      expect(all.body.data).to.have.deep.members([one, two.body])
      expect((await admin.get(`/oauth2/?consumer_id=${consumerId}`)).body.data).to.deep.equal([one])
      expect((await admin.json('POST', '/oauth2', { name: 'b' })).status).to.equal(405)
      expect((await admin.get(`/oauth2/${one.id}`)).status).to.equal(404)
    })
  })

  describe('/oauth2_tokens', () => {
    const tokens = '/oauth2_tokens/'
    let application: JsonObject
    beforeEach(async () => {
      application = await make()
    })
    const makeToken = async (own: JsonObject = {}) => {
      const body = { credential_id: application.id as string, expires_in: 10, ...own }
      const made = await admin.json('POST', tokens, body)
      expect(made.status, made.text).to.equal(201)
      return made.body
    }

    for (const encoding of encodings) {
      it(`makes tokens by POST and by PUT, from ${encoding} bodies [contract 331]`, async () => {
        for (const method of ['POST', 'PUT']) {
          const body = { credential_id: application.id as string, expires_in: 10 }
          const made = await sendAs(admin, encoding)(method, tokens, body)
          expect(made.status, made.text).to.equal(201)
          const { id, created_at, access_token, ...rest } = made.body
          expect(access_token).to.match(/^[0-9a-f]{32}$/)
          expect(rest).to.deep.equal({ ...body, token_type: 'bearer' })
          expect(told(await sendAs(admin, encoding)(method, tokens, {}))).to.deep.equal([
            400,
            { credential_id: 'credential_id is required', expires_in: 'expires_in is required' },
          ])
        }
      })
    }

    it('takes no other type, no negative time, and no application that is not there', async () => {
      const body = { credential_id: unknownId, expires_in: 10 }
      const foreign = await admin.json('POST', tokens, body)
      expect(told(foreign)).to.deep.equal([
        404,
        { credential_id: `does not exist with value '${unknownId}'` },
      ])
      const odd = await admin.json('POST', tokens, { ...body, token_type: 'mac' })
      const negative = await admin.json('POST', tokens, { ...body, expires_in: -1 })
      expect(told(negative)).to.deep.equal([400, { expires_in: 'expires_in cannot be negative' }])
      expect(odd.body.token_type).to.equal('"mac" is not allowed. Allowed values are: "bearer"')
      await makeToken({ access_token: 'taken' })
      const taken = { credential_id: application.id as string, expires_in: 10, access_token: 'taken' }
      expect((await admin.json('POST', tokens, taken)).status).to.equal(409)
    })

    it('lists and reads them, changes one attribute, and replaces all of a token [contract 332]', async () => {
      const one = await makeToken({ scope: 'email', refresh_token: 'r' })
      const two = await makeToken()
      const { data, total } = (await admin.get(tokens)).body
      expect([data, total]).to.deep.equal([[one, two].sort((a, b) => (a.id < b.id ? -1 : 1)), 2])
      expect((await admin.get(tokens + one.id)).body).to.deep.equal(one)
      const patched = await admin.json('PATCH', tokens + one.id, { access_token: '123' })
      expect(told(patched)).to.deep.equal([200, { ...one, access_token: '123' }])
      const { created_at, ...kept } = two
      const replaced = await admin.json('PUT', tokens + two.id, { ...kept, access_token: 'replaced' })
      expect(told(replaced)).to.deep.equal([200, { ...two, access_token: 'replaced' }])
      const bare = { credential_id: application.id as string, expires_in: 7 }
      const { id, ...own } = (await admin.json('PUT', tokens + one.id, bare)).body
      expect([id, own.scope, own.refresh_token, own.expires_in]).to.deep.equal([
        ...[one.id, undefined, undefined, 7],
      ])
    })

    it('replaces the token of the path, whatever id a body has, and makes one that is not there', async () => {
      const one = await makeToken()
      const two = await makeToken()
      const body = { credential_id: application.id as string, expires_in: 1, id: two.id }
      expect((await admin.json('PUT', tokens + one.id, body)).body.id).to.equal(one.id)
      expect((await admin.get(tokens + two.id)).body).to.deep.equal(two)
      const { status, body: made } = await admin.json('PUT', tokens + unknownId, body)
      expect([status, made.id]).to.deep.equal([201, unknownId])
    })

    it('deletes once, by an id that is one', async () => {
      const { id } = await makeToken()
      const malformed = [400, { message: 'blah is not a valid uuid' }]
      expect(told(await admin.delete(`${tokens}blah`))).to.deep.equal(malformed)
      expect(told(await admin.json('PUT', `${tokens}blah`, {}))).to.deep.equal(malformed)
      expect((await admin.delete(tokens + unknownId)).status).to.equal(404)
      expect((await admin.delete(tokens + id)).status).to.equal(204)
      expect((await admin.delete(tokens + id)).status).to.equal(404)
    })

    it('keeps when a token ends, whoever writes the row; the end itself nobody can change', async () => {
      const { id } = await makeToken()
      await admin.test.query('update oauth2_tokens set expires_at = 5000')
      const row = (await admin.get(tokens + id)).body
      expect(row.expires_at).to.equal(5000)
      const changed = await admin.json('PATCH', tokens + id, { scope: 'a', expires_at: 9000 })
      expect(changed.body).to.deep.equal({ ...row, scope: 'a' })
      const replaced = await admin.json('PUT', tokens + id, row)
      expect(replaced.body.expires_at).to.equal(5000)
    })

    it('lose their tokens with the application, with the consumer, and with the API that they are for', async () => {
      const api = { name: 'a', request_host: 'a.com', upstream_url: 'http://a.com' }
      const { body } = await admin.json('POST', '/apis', api)
      const count = async () => (await admin.get(tokens)).body.total
      await makeToken()
      await makeToken({ api_id: body.id })
      await admin.delete('/apis/a')
      expect(await count()).to.equal(1)
      await admin.delete(`${applications}${application.id}`)
      expect(await count()).to.equal(0)
      application = await make()
      await makeToken()
      await admin.delete('/consumers/bob')
      expect(await count()).to.equal(0)
      const { database } = (await admin.get('/status')).body
      expect(database).to.include({
        ...{ oauth2_tokens: 0, oauth2_credentials: 0, oauth2_authorization_codes: 0 },
      })
    })

    it('has tokens that nobody sees in events', async () => {
      const row = await makeToken({ refresh_token: 'r' })
      const redaction = new Redaction(
        shippedPlugins.flatMap(({ entities }) => entities),
        new PluginShapes(shippedPlugins),
      )
      const shown = redaction.show({
        ...{ position: 1, first: 1, at: 0, digest: '', actor: null, schema: 1, old: null, new: row },
        ...{ entity: 'oauth2_tokens', operation: 'create' },
      })
      expect(shown.new).to.deep.equal({ ...row, access_token: '******', refresh_token: '******' })
    })
  })

  describe('the configuration', () => {
    beforeEach(() =>
      admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url: 'http://a.com' }),
    )
    const post = (config: JsonObject) => admin.json('POST', '/apis/a/plugins', { name: 'oauth2', config })
    const needsScopes = {
      'config.mandatory_scope': 'To set a mandatory scope you also need to create available scopes',
    }

    it('has scopes where one is mandatory, and else if somebody wants any [contract 339]', async () => {
      expect((await post({ mandatory_scope: false })).status).to.equal(201)
      await admin.test.query('delete from plugins')
      for (const wrong of [{}, { scopes: [] }, { scopes: '' }]) {
        expect(told(await post({ mandatory_scope: true, ...wrong }))).to.deep.equal([400, needsScopes])
      }
      const form = `name=oauth2&config.mandatory_scope=true&config.scopes=`
      expect(told(await admin.form('POST', '/apis/a/plugins', form))).to.deep.equal([400, needsScopes])
      const made = await admin.form('POST', '/apis/a/plugins', `${form}email,info`)
      expect(made.body.config).to.deep.include({ mandatory_scope: true, scopes: ['email', 'info'] })
      const item = `/apis/a/plugins/${made.body.id}`
      expect((await admin.json('PATCH', item, { config: { token_expiration: 5 } })).status).to.equal(200)
      const taken = await admin.json('PATCH', item, { config: { scopes: [] } })
      expect(told(taken)).to.deep.equal([400, needsScopes])
    })

    it('has a random provision_key where none is given [contract 340]', async () => {
      const { config, id } = (await post({})).body
      const { provision_key, ...rest } = config
      expect(provision_key).to.match(/^[0-9a-f]{32}$/)
      expect(rest).to.deep.equal({
        ...{ mandatory_scope: false, token_expiration: 7200, enable_authorization_code: true },
        ...{ enable_implicit_grant: false, enable_client_credentials: false, enable_password_grant: false },
        ...{ hide_credentials: false, accept_http_if_already_terminated: false },
      })
      const item = `/apis/a/plugins/${id}`
      const changed = await admin.json('PATCH', item, { config: { token_expiration: 0 } })
      expect(changed.body.config).to.deep.equal({ ...config, token_expiration: 0 })
      await admin.delete(item)
      expect((await post({ provision_key: 'hello' })).body.config.provision_key).to.equal('hello')
      const negative = await admin.json('POST', '/plugins', {
        name: 'oauth2',
        config: { token_expiration: -1 },
      })
      expect(negative.body['config.token_expiration']).to.equal('token_expiration cannot be negative')
    })
  })
})
