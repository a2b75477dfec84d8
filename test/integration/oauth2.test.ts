// oauth2 on real sockets: what clients, providers' pages and upstreams see, byte for byte.
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { Unknown } from '../../src/catalog/errors.ts'
import { oauth2AuthorizationCode } from '../../src/plugins/oauth2/code.ts'
import { oauth2Token } from '../../src/plugins/oauth2/token.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { basic } from '../support/passwords.ts'
import { type Answered, ask } from '../support/raw-http.ts'
import { CatalogWriter } from '../support/writer.ts'

type Parameters = Readonly<Record<string, string>>

const provider = { provision_key: 'provision123', authenticated_userid: 'id123' }
const client = { client_id: 'clientid123', client_secret: 'secret123' }
const wrongClient = { error: 'invalid_client', error_description: 'Invalid client authentication' }
const registered = 'http://google.com/kong'
const unregistered =
  'Invalid redirect_uri that does not match with any redirect_uri created with the application'
const noHttps = { error: 'access_denied', error_description: 'You must use HTTPS' }
const wrongKey = { error: 'invalid_provision_key', error_description: 'Invalid Kong provision_key' }
const noUser = {
  error: 'invalid_authenticated_userid',
  error_description: 'Missing authenticated_userid parameter',
}
const wrongGrant = { error: 'unsupported_grant_type', error_description: 'Invalid grant_type' }
const tokenInvalid = {
  error: 'invalid_token',
  error_description: 'The access token is invalid or has expired',
}
const longChallenge =
  'Bearer realm="service" error="invalid_token" error_description="The access token is invalid or has expired"'

describe('oauth2', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let writer: CatalogWriter
  let api: Row
  let plugin: Row
  let bob: Row
  let application: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    writer = new CatalogWriter()
    gateway = await new TestGateway({ writer }).start()
    writer.catalog = gateway.catalog
    api = gateway.addApi({ request_host: 'test', request_path: '/path', upstream_url: upstream.url })
    plugin = gateway.addPlugin(api, 'oauth2', {
      ...{ scopes: ['email', 'profile', 'user.email'], mandatory_scope: true, token_expiration: 5 },
      ...{ provision_key: provider.provision_key, enable_authorization_code: true },
      ...{ enable_implicit_grant: true, enable_client_credentials: true, enable_password_grant: true },
    })
    gateway.addPlugin(api, 'recorder')
    bob = gateway.addConsumer('bob', 'custom-1')
    application = gateway.addCredential('oauth2_credentials', bob, {
      ...client,
      name: 'test app',
      redirect_uri: [registered, 'http://other.com/?foo=bar&code=123'],
    })
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const configure = (config: JsonObject) => {
    plugin = { ...plugin, config: { ...(plugin.config as JsonObject), ...config } }
    gateway.catalog.put('plugins', plugin)
  }
  const formOf = (parameters: Parameters) => new URLSearchParams(parameters).toString()
  const formType = ['Content-Type', 'application/x-www-form-urlencoded']
  const post = (target: string, parameters: Parameters, headers: readonly string[] = []) =>
    ask(gateway.tlsPort, target, {
      ...{ method: 'POST', headers: ['Host', 'test', ...formType, ...headers], tls: {} },
      body: formOf(parameters),
    })
  const postPlainly = (target: string, parameters: Parameters, headers: readonly string[] = []) =>
    ask(gateway.port, target, {
      ...{ method: 'POST', headers: ['Host', 'test', ...formType, ...headers] },
      body: formOf(parameters),
    })
  const authorize = (parameters: Parameters) => post('/oauth2/authorize', parameters)
  const askToken = (parameters: Parameters, headers: readonly string[] = []) =>
    post('/oauth2/token', parameters, headers)
  const json = ({ body }: Answered) => JSON.parse(body) as JsonObject
  const told = (answered: Answered) => [answered.status, json(answered)]
  const redirectOf = (answered: Answered) => {
    expect(Object.keys(json(answered))).deep.equal(['redirect_uri'])
    return String(json(answered).redirect_uri)
  }
  const expectUnkept = ({ headers }: Answered) =>
    expect(headers).include({ 'cache-control': 'no-store', pragma: 'no-cache' })
  const redirectTo = (uri: string, parameters: Parameters) =>
    `${uri}?${Object.entries(parameters)
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
      .join('&')}`
  const asking = { ...provider, client_id: client.client_id, scope: 'email', response_type: 'code' }
  const newCode = async (parameters: Parameters = asking) =>
    new URL(redirectOf(await authorize(parameters))).searchParams.get('code') as string
  const tokenOf = (answered: Answered) => String(json(answered).access_token)
  const byPassword = { ...client, ...provider, scope: 'email', grant_type: 'password' }
  const byClient = { ...client, scope: 'email', grant_type: 'client_credentials' }
  const fetchWith = (headers: readonly string[], target = '/anything') =>
    ask(gateway.port, target, { headers: ['Host', 'test', ...headers] })
  const bearer = (token: string) => ['Authorization', `bearer ${token}`]
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen
  /** What the upstream hears of whoever shows the token. */
  const heard = async (token: string) => {
    const answered = await fetchWith(bearer(token))
    expect(answered.status, answered.body).equal(200)
    return seen(answered).headers
  }
  const identity = {
    ...{ 'x-consumer-username': 'bob', 'x-consumer-custom-id': 'custom-1' },
    ...{ 'x-authenticated-scope': 'email', 'x-authenticated-userid': 'id123' },
  }

  describe('authorize', () => {
    it('without a provision_key is 400, kept by nobody [contract 260]', async () => {
      const answered = await authorize({})
      expect(told(answered)).deep.equal([400, wrongKey])
      expectUnkept(answered)
      expect(told(await authorize({ ...asking, provision_key: 'wrong' }))).deep.equal([400, wrongKey])
    })

    it('without a user is 400 [contract 261]', async () => {
      const { provision_key } = provider
      for (const blank of [{}, { authenticated_userid: ' ' }]) {
        expect(told(await authorize({ provision_key, ...blank }))).deep.equal([400, noUser])
      }
    })

    it('of a client that nobody knows is 400 and told to whoever asked [contract 262]', async () => {
      for (const unknown of [{}, { client_id: 'unknown' }, { client_id: String(application.id) }]) {
        const answered = await authorize({ ...provider, ...unknown })
        expect(told(answered)).deep.equal([400, wrongClient])
        expectUnkept(answered)
      }
    })

    it('tells what is wrong in the redirect_uri, of several faults the last [contract 263, 264, 265, 266]', async () => {
      const { client_id } = client
      const noScope = { error: 'invalid_scope', error_description: 'You must specify a scope' }
      const unknown = { error: 'invalid_scope', error_description: '"wot" is an invalid scope' }
      const wrongType = { error: 'unsupported_response_type', error_description: 'Invalid response_type' }
      const cases: [Parameters, Parameters][] = [
        [{ client_id }, noScope],
        [{ client_id, scope: '  ' }, noScope],
        [{ client_id, scope: 'email wot' }, unknown],
        [{ client_id, scope: 'email' }, wrongType],
        [{ client_id, scope: 'email', response_type: 'wot' }, wrongType],
        [
          { client_id, scope: 'email', state: 'some state' },
          { ...wrongType, state: 'some state' },
        ],
      ]
      for (const [given, expected] of cases) {
        const answered = await authorize({ ...provider, ...given })
        expect(answered.status).equal(400)
        expect(redirectOf(answered)).equal(redirectTo(registered, expected))
      }
    })

    it('makes codes and tokens only where these are enabled', async () => {
      configure({ enable_authorization_code: false })
      expect(redirectOf(await authorize(asking))).include('unsupported_response_type')
      configure({ enable_implicit_grant: false })
      expect(redirectOf(await authorize({ ...asking, response_type: 'token' }))).include(
        'unsupported_response_type',
      )
    })

    it('with a redirect_uri that is not registered tells it at the first one that is [contract 267]', async () => {
      const answered = await authorize({ ...asking, redirect_uri: 'http://evil.com/' })
      const expected = { error: 'invalid_request', error_description: unregistered }
      expect(answered.status).equal(400)
      expect(redirectOf(answered)).equal(redirectTo(registered, expected))
    })

    it('merges what it says with the query of the registered URI [contract 268]', async () => {
      const redirect_uri = 'http://other.com/?foo=bar&code=123'
      const uri = redirectOf(await authorize({ ...asking, redirect_uri }))
      expect(uri).match(/^http:\/\/other\.com\/\?code=\w{32}&foo=bar$/)
    })

    it('needs HTTPS, or somebody who says it was [contract 269, 270, 271]', async () => {
      const path = '/oauth2/authorize'
      const proto = ['X-Forwarded-Proto', 'https']
      expect(told(await postPlainly(path, asking))).deep.equal([400, noHttps])
      expect(told(await postPlainly(path, { ...asking, state: 'x' }, proto))).deep.equal([
        400,
        { ...noHttps, state: 'x' },
      ])
      configure({ accept_http_if_already_terminated: true })
      expect((await postPlainly(path, asking, proto)).status).equal(200)
      expect(told(await postPlainly(path, asking, ['X-Forwarded-Proto', 'http']))).deep.equal([400, noHttps])
      expect(told(await postPlainly(path, asking, [...proto, ...proto]))).deep.equal([
        400,
        { error: 'access_denied', error_description: 'Only one X-Forwarded-Proto header allowed' },
      ])
    })

    it('answers with a code in the redirect_uri, and the state behind it [contract 272, 276]', async () => {
      const answered = await authorize(asking)
      expect(answered.status).equal(200)
      expect(redirectOf(answered)).match(/^http:\/\/google\.com\/kong\?code=\w{32}$/)
      const stated = await authorize({ ...asking, state: 'hello wo/rld' })
      expect(redirectOf(stated)).match(/\?code=\w{32}&state=hello%20wo%2Frld$/)
      expectUnkept(stated)
    })

    it('is found at the root of a host and at the path of the API, with and without a slash [contract 273, 274, 275]', async () => {
      const without = { ...asking, provision_key: 'wrong' }
      expect(told(await post('/oauth2/authorize', without))).deep.equal([400, wrongKey])
      for (const path of ['/path/oauth2/authorize', '/path/oauth2/authorize/', '/oauth2/authorize/'])
        expect((await post(path, asking)).status, path).equal(200)
      expect((await post('/oauth2/authorize/?x=/y', asking)).status).equal(200)
      expect(writer.rows(oauth2AuthorizationCode)).length(4)
      expect(upstream.requests).equal(0)
      for (const path of ['/pathoauth2/authorize', '/oauth2/authorized', '/x/oauth2/authorize'])
        expect((await post(path, asking)).status, path).equal(401)
      expect((await fetchWith([], '/oauth2/authorize')).status).equal(401)
    })

    it('keeps with the code whose it is, for whom, for what and where it was sent [contract 277, 278]', async () => {
      const code = await newCode({ ...asking, scope: 'user.email' })
      expect(writer.rows(oauth2AuthorizationCode)[0]).deep.include({
        ...{ code, scope: 'user.email', authenticated_userid: 'id123', redirect_uri: registered },
        ...{ credential_id: application.id, api_id: api.id },
      })
    })

    it('takes parameters of the query string, those of the body over them, and none twice', async () => {
      const { provision_key, ...rest } = asking
      const headers = ['Host', 'test']
      const target = `/oauth2/authorize?${formOf(asking)}`
      expect((await ask(gateway.tlsPort, target, { method: 'POST', headers, tls: {} })).status).equal(200)
      expect((await post(`/oauth2/authorize?provision_key=wrong`, asking)).status).equal(200)
      expect((await post(`/oauth2/authorize?provision_key=${provision_key}`, rest)).status).equal(200)
      const twice = await post(`/oauth2/authorize?state=a&state=b`, asking)
      expect(told(twice)).deep.equal([
        400,
        { error: 'invalid_request', error_description: 'state is given more than once', state: 'a' },
      ])
      expect((await authorize({ ...asking, authenticated_userid: 'a\0b' })).status).equal(400)
      expect((await authorize({ ...asking, state: 'x'.repeat(70_000) })).status).equal(413)
    })
  })

  describe('implicit grant', () => {
    const implicit = { ...asking, response_type: 'token' }
    const expected = (state: string) =>
      new RegExp(`^http://google\\.com/kong\\?access_token=\\w{32}&expires_in=5${state}&token_type=bearer$`)

    it('has the token in the redirect_uri, with the state in its place [contract 279, 280]', async () => {
      const answered = await authorize(implicit)
      expect(answered.status).equal(200)
      expect(redirectOf(answered)).match(expected(''))
      expectUnkept(answered)
      expect(redirectOf(await authorize({ ...implicit, state: 'wot' }))).match(expected('&state=wot'))
    })

    it('keeps a token that ends and is not renewed, its scopes with one blank between [contract 281, 282]', async () => {
      const uri = redirectOf(await authorize({ ...implicit, scope: 'email  profile' }))
      expect(writer.rows(oauth2Token)[0]).deep.include({
        access_token: new URL(uri).searchParams.get('access_token'),
        ...{ refresh_token: null, expires_in: 5, token_type: 'bearer' },
        ...{ scope: 'email profile', authenticated_userid: 'id123' },
        ...{ credential_id: application.id, api_id: api.id },
      })
    })

    it('lets its bearer in [contract 283]', async () => {
      const uri = new URL(redirectOf(await authorize(implicit)))
      const headers = await heard(uri.searchParams.get('access_token') as string)
      expect(headers).include({ ...identity, 'x-consumer-id': bob.id })
    })
  })

  describe('client credentials', () => {
    it('are proven, for a grant that there is, by HTTPS [contract 284, 285, 286]', async () => {
      const { client_secret: _, ...without } = byClient
      expect(told(await askToken(without))).deep.equal([400, wrongClient])
      const { grant_type: __, ...unknown } = byClient
      expect(told(await askToken(unknown))).deep.equal([400, wrongGrant])
      expect(told(await postPlainly('/oauth2/token', byClient))).deep.equal([400, noHttps])
    })

    it('speak for a user with the provision_key alone [contract 287, 288, 290]', async () => {
      const { authenticated_userid } = provider
      const asked = { ...byClient, authenticated_userid }
      expect(told(await askToken(asked))).deep.equal([400, wrongKey])
      expect(told(await askToken({ ...asked, provision_key: 'wrong' }))).deep.equal([400, wrongKey])
      const answered = await askToken({ ...asked, ...provider })
      expect(json(answered)).have.keys('access_token', 'token_type', 'expires_in')
      expect((await heard(tokenOf(answered)))['x-authenticated-userid']).equal('id123')
    })

    it('get an access token and no other [contract 289, 293]', async () => {
      const answered = await askToken(byClient)
      expect(answered.status).equal(200)
      const { access_token, ...rest } = json(answered)
      expect(access_token).match(/^\w{32}$/)
      expect(rest).deep.equal({ token_type: 'bearer', expires_in: 5 })
      expectUnkept(answered)
      const { 'x-authenticated-userid': _, ...own } = identity
      const headers = await heard(String(access_token))
      expect(headers).include(own).not.have.property('x-authenticated-userid')
    })

    it('may stand in the header, where a wrong one is a challenge [contract 291, 292]', async () => {
      const { client_id, client_secret, ...rest } = byClient
      const by = (id: string, secret: string) => askToken(rest, ['Authorization', basic(id, secret)])
      expect((await by(client_id, client_secret)).status).equal(200)
      for (const [id, secret] of [
        [client_id, 'wrong'],
        ['unknown', client_secret],
        [client_id, ''],
      ] as const) {
        const answered = await by(id, secret)
        expect(told(answered)).deep.equal([401, wrongClient])
        expect(answered.headers['www-authenticate']).equal('Basic realm="OAuth2.0"')
        expectUnkept(answered)
      }
      const notBasic = await askToken(rest, ['Authorization', 'Bearer x'])
      expect([notBasic.status, notBasic.headers['www-authenticate']]).deep.equal([400, undefined])
    })

    it('in the header are read as they are, and as a form encodes them', async () => {
      gateway.catalog.put('oauth2_credentials', {
        ...application,
        ...{ client_id: 'an app+', client_secret: '100%:x' },
      })
      const { client_id, client_secret, ...rest } = byClient
      for (const pair of [
        ['an app+', '100%:x'],
        ['an%20app%2B', '100%25%3Ax'],
        ['an+app%2B', '100%25%3Ax'],
      ] as const) {
        expect((await askToken(rest, ['Authorization', basic(pair[0], pair[1])])).status, pair[0]).equal(200)
      }
    })

    it('come in a multipart body, and so does the token [contract 294]', async () => {
      const part = (name: string, value: string) =>
        `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
      const multipart = (port: number, target: string, parameters: Parameters, tls?: object) =>
        ask(port, target, {
          method: 'POST',
          headers: ['Host', 'test', 'Content-Type', 'multipart/form-data; boundary=b'],
          body: `${Object.entries(parameters)
            .map(([name, value]) => part(name, value))
            .join('')}--b--\r\n`,
          ...(tls && { tls }),
        })
      const answered = await multipart(gateway.tlsPort, '/oauth2/token', byClient, {})
      expect(answered.status, answered.body).equal(200)
      const parameters = { access_token: tokenOf(answered), a: 'é' }
      const passed = await multipart(gateway.port, '/upload', parameters)
      expect([passed.status, seen(passed).headers['x-consumer-username']]).deep.equal([200, 'bob'])
      expect(seen(passed).body).include(parameters.access_token)
      configure({ hide_credentials: true })
      const hidden = await multipart(gateway.port, '/upload', parameters)
      expect(seen(hidden).body).equal(`${part('a', 'é')}--b--\r\n`)
    })
  })

  describe('password grant', () => {
    it('is for nobody without a token [contract 295]', async () => {
      const answered = await fetchWith([])
      expect(told(answered)).deep.equal([
        401,
        { error: 'invalid_request', error_description: 'The access token is missing' },
      ])
    })

    it('needs a client that proves itself, a grant type, the provision_key and a user [contract 296, 297, 298, 299]', async () => {
      const without = async (name: keyof typeof byPassword) => {
        const { [name]: _, ...rest } = byPassword
        return told(await askToken(rest))
      }
      expect(await without('client_secret')).deep.equal([400, wrongClient])
      expect(await without('grant_type')).deep.equal([400, wrongGrant])
      expect(await without('provision_key')).deep.equal([400, wrongKey])
      expect(await without('authenticated_userid')).deep.equal([400, noUser])
      expect(await without('scope')).deep.equal([
        400,
        { error: 'invalid_scope', error_description: 'You must specify a scope' },
      ])
      configure({ enable_password_grant: false })
      expect(told(await askToken(byPassword))).deep.equal([400, wrongGrant])
    })

    it('gets a pair of tokens, the client in the body or in the header [contract 300, 301, 302]', async () => {
      const { client_id, client_secret, ...rest } = byPassword
      const header = (secret: string) => askToken(rest, ['Authorization', basic(client_id, secret)])
      for (const answered of [await askToken(byPassword), await header(client_secret)]) {
        expect(answered.status).equal(200)
        expect(json(answered)).have.keys('access_token', 'token_type', 'expires_in', 'refresh_token')
      }
      const wrong = await header('wrong')
      expect(told(wrong)).deep.equal([401, wrongClient])
      expect(wrong.headers['www-authenticate']).equal('Basic realm="OAuth2.0"')
    })

    it('lets its bearer in [contract 303]', async () => {
      expect(await heard(tokenOf(await askToken(byPassword)))).include(identity)
    })
  })

  describe('authorization code', () => {
    const exchange = (code: string) => ({ ...client, code, grant_type: 'authorization_code' })

    it('is for a client that proves itself and says what it wants [contract 304, 305, 306, 307]', async () => {
      const { client_secret } = client
      const code = await newCode()
      const nothing = await askToken({})
      expectUnkept(nothing)
      expect(told(nothing)).deep.equal([400, wrongClient])
      expect(told(await askToken({ code }))).deep.equal([400, wrongClient])
      expect(told(await askToken({ code, client_secret }))).deep.equal([400, wrongClient])
      expect(told(await askToken({ code, ...client }))).deep.equal([400, wrongGrant])
      expect((await askToken(exchange(code))).status).equal(200)
    })

    const wrongCode = [400, { error: 'invalid_request', error_description: 'Invalid code' }]

    it('that is none is 400 [contract 308]', async () => {
      for (const code of ['wrong', '']) expect(told(await askToken(exchange(code)))).deep.equal(wrongCode)
      expect(told(await askToken({ ...exchange('x'), state: 's' }))).deep.equal([
        400,
        { error: 'invalid_request', error_description: 'Invalid code', state: 's' },
      ])
    })

    it('is exchanged for a pair of tokens, and the state if there is one [contract 309, 310]', async () => {
      const members = ['access_token', 'token_type', 'expires_in', 'refresh_token']
      const plain = await askToken(exchange(await newCode()))
      expect(json(plain)).have.keys(members)
      expectUnkept(plain)
      const stated = json(await askToken({ ...exchange(await newCode()), state: 'wot' }))
      expect(stated)
        .have.keys([...members, 'state'])
        .include({ state: 'wot' })
    })

    it('lets its bearer in [contract 311]', async () => {
      expect(await heard(tokenOf(await askToken(exchange(await newCode()))))).include(identity)
    })

    it('is good once, for its own client, at its own API', async () => {
      const code = await newCode()
      const other = { client_id: 'other', client_secret: 'other-secret' }
      gateway.addCredential('oauth2_credentials', bob, { ...other, redirect_uri: [registered] })
      expect(told(await askToken({ ...exchange(code), ...other }))).deep.equal(wrongCode)
      const elsewhere = gateway.addApi({ request_host: 'other', upstream_url: upstream.url })
      gateway.addPlugin(elsewhere, 'oauth2', plugin.config as JsonObject)
      const there = await ask(gateway.tlsPort, '/oauth2/token', {
        ...{ method: 'POST', headers: ['Host', 'other', ...formType], body: formOf(exchange(code)), tls: {} },
      })
      expect(told(there)).deep.equal(wrongCode)
      expect((await askToken(exchange(code))).status).equal(200)
      expect(told(await askToken(exchange(code)))).deep.equal(wrongCode)
    })

    it('is exchanged with the redirect_uri that it was sent to, or without one', async () => {
      const wrong = [
        400,
        {
          error: 'invalid_request',
          error_description:
            'Invalid redirect_uri that does not match with the one created with the application',
        },
      ]
      const code = await newCode()
      const withUri = (redirect_uri: string) => askToken({ ...exchange(code), redirect_uri })
      expect(told(await withUri('http://evil.com/'))).deep.equal(wrong)
      expect(told(await withUri('http://other.com/?foo=bar&code=123'))).deep.equal(wrongCode)
      expect((await withUri(registered)).status).equal(200)
    })
  })

  describe('a token', () => {
    const missing = [401, { error: 'invalid_request', error_description: 'The access token is missing' }]
    const refusedAs = (answered: Answered) => {
      expect(told(answered)).deep.equal([401, tokenInvalid])
      expect(answered.headers['www-authenticate']).equal(longChallenge)
    }
    const newToken = async () => tokenOf(await askToken(byPassword))
    const postForm = (parameters: Parameters) =>
      ask(gateway.port, '/form', {
        ...{ method: 'POST', headers: ['Host', 'test', ...formType], body: formOf(parameters) },
      })

    it('stands in the query, in a form, or in the header, under either name [contract 312, 313, 314, 315]', async () => {
      const token = await newToken()
      expect((await fetchWith([], `/?access_token=${token}`)).status).equal(200)
      expect((await postForm({ access_token: token })).status).equal(200)
      for (const word of ['bearer', 'Bearer', 'token', 'TOKEN']) {
        const answered = await fetchWith(['Authorization', `${word} ${token}`])
        expect(answered.status, word).equal(200)
        expect(seen(answered).headers).include(identity)
      }
    })

    it('that is missing is asked for [contract 316]', async () => {
      for (const answered of [
        await fetchWith([]),
        await fetchWith(['Authorization', 'Basic x']),
        await fetchWith([], '/?access_token='),
        await postForm({ a: 'b' }),
      ]) {
        expect(told(answered)).deep.equal(missing)
        expect(answered.headers['www-authenticate']).equal('Bearer realm="service"')
      }
    })

    it('that is none is refused, wherever it stands [contract 317, 318]', async () => {
      refusedAs(await fetchWith([], '/?access_token=wrong'))
      refusedAs(await fetchWith(bearer('wrong')))
      refusedAs(await postForm({ access_token: 'wrong' }))
      const token = await newToken()
      refusedAs(await fetchWith([], `/?access_token=${token}&access_token=other`))
      refusedAs(await fetchWith([...bearer(token), ...bearer('other')]))
      expect(upstream.requests).equal(0)
    })

    it('that is over is refused; one that never ends is not [contract 319]', async () => {
      const token = gateway.addCredential('oauth2_tokens', bob, {
        ...{ credential_id: application.id as string, access_token: 'old', expires_in: 5, api_id: null },
        created_at: Date.now() - 6000,
      })
      const answered = await fetchWith(bearer('old'))
      refusedAs(answered)
      expect(Object.keys(json(answered))).deep.equal(['error', 'error_description'])
      gateway.catalog.put('oauth2_tokens', { ...token, created_at: Date.now() - 3000 })
      expect((await fetchWith(bearer('old'))).status).equal(200)
      gateway.catalog.put('oauth2_tokens', { ...token, expires_in: 0 })
      expect((await fetchWith(bearer('old'))).status).equal(200)
    })

    it('of another API is none, unless it is good for all', async () => {
      const token = await newToken()
      const other = gateway.addApi({ request_host: 'other', upstream_url: upstream.url })
      gateway.addPlugin(other, 'oauth2', plugin.config as JsonObject)
      const there = (token: string) =>
        ask(gateway.port, '/', { headers: ['Host', 'other', ...bearer(token)] })
      refusedAs(await there(token))
      configure({ global_credentials: true })
      expect((await there(await newToken())).status).equal(200)
    })

    it('goes upstream unless it is to be hidden: in the body [contract 323]', async () => {
      const token = await newToken()
      const parameters = { a: 'b c', access_token: token, d: 'é' }
      expect(seen(await postForm(parameters)).body).equal(formOf(parameters))
      configure({ hide_credentials: true })
      const hidden = seen(await postForm(parameters))
      const left = formOf({ a: 'b c', d: 'é' })
      expect([hidden.body, hidden.headers['content-length']]).deep.equal([left, String(left.length)])
    })

    it('goes upstream unless it is to be hidden: in the query [contract 324]', async () => {
      const token = await newToken()
      const target = `/?a=%7e&access_token=${token}&b`
      expect(seen(await fetchWith([], target)).url).equal(target)
      configure({ hide_credentials: true })
      expect(seen(await fetchWith([], target)).url).equal('/?a=%7e&b')
    })

    it('goes upstream unless it is to be hidden: in the header [contract 325]', async () => {
      const token = await newToken()
      expect((await heard(token)).authorization).equal(`bearer ${token}`)
      configure({ hide_credentials: true })
      expect(await heard(token)).not.have.property('authorization')
    })

    it('is not looked for in a body that is no form, nor in one where it is shown elsewhere', async () => {
      const token = await newToken()
      const send = (type: string, headers: readonly string[]) =>
        ask(gateway.port, '/', {
          ...{ method: 'POST', headers: ['Host', 'test', 'Content-Type', type, ...headers] },
          body: `access_token=${token}`,
        })
      expect(told(await send('text/plain', []))).deep.equal(missing)
      expect(told(await send(formType[1] as string, ['Content-Encoding', 'gzip']))).deep.equal(missing)
      configure({ hide_credentials: true })
      const both = await send(formType[1] as string, bearer(token))
      expect(seen(both).body).equal(`access_token=${token}`)
    })

    it('is not looked for in a form that is larger than may be held for strangers', async () => {
      const answered = await postForm({ a: 'x'.repeat(1_100_000), access_token: await newToken() })
      expect(told(answered)).deep.equal(missing)
    })

    it('counts for the very next request: another one, no longer, the application or the consumer gone', async () => {
      const token = await newToken()
      const status = async (value: string) => (await fetchWith(bearer(value))).status
      const row = writer.rows(oauth2Token)[0] as Row
      expect(await status(token)).equal(200)
      gateway.catalog.put('oauth2_tokens', { ...row, access_token: 'another' })
      expect([await status(token), await status('another')]).deep.equal([401, 200])
      gateway.catalog.remove('consumers', () => true)
      expect(await status('another')).equal(401)
      gateway.catalog.put('consumers', bob)
      gateway.catalog.remove('oauth2_credentials', () => true)
      expect(await status('another')).equal(401)
    })

    it('that is not known for sure is 503, and so is a client', async () => {
      const token = await newToken()
      const back = gateway.catalog.onLookup
      gateway.catalog.onLookup = (key) => {
        if (key.startsWith('oauth2_')) throw new Unknown(key)
      }
      expect((await fetchWith(bearer(token))).status).equal(503)
      expect((await askToken(byPassword)).status).equal(503)
      expect((await authorize(asking)).status).equal(503)
      gateway.catalog.onLookup = back
      expect((await fetchWith(bearer(token))).status).equal(200)
    })
  })

  describe('a refresh token', () => {
    const wrong = [400, { error: 'invalid_request', error_description: 'Invalid refresh_token' }]
    const renew = (refresh_token: string, parameters: Parameters = client) =>
      askToken({ ...parameters, refresh_token, grant_type: 'refresh_token' })

    it('that is none is 400 [contract 320]', async () => {
      expect(told(await renew('wrong'))).deep.equal(wrong)
      expect(told(await askToken({ ...client, grant_type: 'refresh_token' }))).deep.equal(wrong)
    })

    it('gets a new pair with the same rights, once, when the old one is over; that is gone [contract 321, 322]', async () => {
      const first = json(await askToken(byPassword))
      const row = writer.rows(oauth2Token)[0] as Row
      gateway.catalog.put('oauth2_tokens', { ...row, created_at: Date.now() - 6000 })
      expect((await fetchWith(bearer(String(first.access_token)))).status).equal(401)
      const renewed = await renew(String(first.refresh_token))
      expect(renewed.status).equal(200)
      const second = json(renewed)
      expect(second).have.keys('access_token', 'token_type', 'expires_in', 'refresh_token')
      expect(second.access_token).not.equal(first.access_token)
      expect(second.refresh_token).not.equal(first.refresh_token)
      expect((await fetchWith(bearer(String(first.access_token)))).status).equal(401)
      expect(await heard(String(second.access_token))).include(identity)
      expect(told(await renew(String(first.refresh_token)))).deep.equal(wrong)
      expect(writer.rows(oauth2Token).map(({ access_token }) => access_token)).deep.equal([
        second.access_token,
      ])
    })

    it('is of use to its own client alone', async () => {
      const { refresh_token } = json(await askToken(byPassword))
      const other = { client_id: 'other', client_secret: 'other-secret' }
      gateway.addCredential('oauth2_credentials', bob, { ...other, redirect_uri: [registered] })
      expect(told(await renew(String(refresh_token), other))).deep.equal(wrong)
      expect((await renew(String(refresh_token))).status).equal(200)
    })

    it('that counts everywhere goes on doing so', async () => {
      const made = { credential_id: application.id as string, expires_in: 5, access_token: 'by hand' }
      await writer.insert(oauth2Token, { ...made, refresh_token: 'by-hand' })
      expect((await renew('by-hand')).status).equal(200)
      expect(writer.rows(oauth2Token).map(({ api_id }) => api_id)).deep.equal([null])
    })

    it('is not made where tokens never end', async () => {
      configure({ token_expiration: 0 })
      expect(json(await askToken(byPassword))).have.keys('access_token', 'token_type')
      expect(writer.rows(oauth2Token)[0]).include({
        ...{ expires_in: 0, refresh_token: null, expires_at: null },
      })
    })
  })

  it('keeps tokens for fourteen days, and never shorter than they are good for', async () => {
    const days = async () => {
      await askToken(byPassword)
      const ends = Number(writer.rows(oauth2Token).at(-1)?.expires_at)
      return Math.round((ends - Date.now()) / 86_400_000)
    }
    expect(await days()).equal(14)
    configure({ token_expiration: 30 * 86_400 })
    expect(await days()).equal(30)
  })

  it('has no secrets in the record of a request, and hidden tokens in none', async () => {
    const { client_id, client_secret, ...rest } = byPassword
    await post(`/oauth2/token?${formOf({ ...rest, client_secret })}`, {}, [
      'Authorization',
      basic(client_id, client_secret),
    ])
    configure({ hide_credentials: true })
    const token = tokenOf(await askToken(byPassword))
    await fetchWith(bearer(token))
    const records = JSON.stringify([await gateway.record(1), await gateway.record(3)])
    for (const secret of [client_secret, provider.provision_key, token, basic(client_id, client_secret)])
      expect(records).not.include(secret)
    expect(records).include('grant_type')
  })

  it('gives a request that is resolved anew what it got the first time', async () => {
    const code = await newCode()
    let writes = 0
    writer.onWrite = () => {
      writes++
      // Under its feet, after it was decided.
      configure({ token_expiration: 7 })
    }
    const answered = await askToken({ ...client, code, grant_type: 'authorization_code' })
    expect(answered.status, answered.body).equal(200)
    expect([writer.rows(oauth2Token).length, json(answered).expires_in]).deep.equal([1, 5])
    // The exchange, and within it the insert.
    expect(writes).equal(2)
  })

  it('answers 503 what can not be written', async () => {
    writer.onWrite = () => {
      throw Object.assign(new Error('away'), { code: 'write-failed' })
    }
    for (const answered of [await askToken(byPassword), await authorize(asking)]) {
      expect([answered.status, answered.headers['retry-after']]).deep.equal([503, '1'])
    }
  })
})
