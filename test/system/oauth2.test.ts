// Applications and their tokens on three real nodes: what one node gives out or takes back counts at all of them when it
// has answered. The applications are those of a client library that others maintain.
import { expect } from 'chai'
import * as oauth from 'oauth4webapi'
import type { JsonObject } from '../../src/base/json.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { Answer, NodeProcess } from '../support/node-process.ts'
import { type TestServer, testServer } from '../support/postgres.ts'

const provider = { provision_key: 'provision123', authenticated_userid: 'id123' }
const redirectUri = 'https://app.test/back?kept=1'
const names = { client_id: 'app', client_secret: 'app secret: 100%' }
const byUser = { ...names, ...provider, grant_type: 'password' }

describe('oauth2 on three nodes', function () {
  this.timeout(60_000)
  let group: NodeGroup
  let one: NodeProcess
  let two: NodeProcess
  let three: NodeProcess
  let nodes: readonly NodeProcess[]

  before(async () => {
    group = await NodeGroup.make()
    for (let i = 0; i < 3; i++) await group.start({ workers: 2, cluster: { ack_timeout: '5s' } })
    nodes = group.nodes
    ;[one, two, three] = group.nodes as [NodeProcess, NodeProcess, NodeProcess]
    await until(async () => (await one.ask('GET', '/cluster?status=alive')).body.total === 3)
    await write('POST', '/apis', { name: 'api', request_path: '/api', upstream_url: group.upstream.url })
    const config = {
      ...{ provision_key: provider.provision_key, scopes: ['email', 'profile'] },
      ...{ enable_client_credentials: true, enable_password_grant: true, enable_implicit_grant: true },
      accept_http_if_already_terminated: true,
    }
    await write('POST', '/apis/api/plugins', { name: 'oauth2', config })
  })
  after(() => group?.remove())

  let application: string
  beforeEach(async () => {
    await write('POST', '/consumers', { username: 'bob' })
    const body = { name: 'an app', redirect_uri: [redirectUri], ...names }
    application = (await write('POST', '/consumers/bob/oauth2', body)).body.id
  })
  afterEach(() => write('DELETE', '/consumers/bob'))

  /** By one node; all of them have it when it returns. */
  async function write(method: string, path: string, body?: JsonObject, node = one): Promise<Answer> {
    const answer = await node.ask(method, path, body)
    expect(answer.status, `${method} ${path} ${answer.text}`).within(200, 204)
    expect(answer.headers.get('x-troop-applied')).equal('3/3')
    return answer
  }

  /** By whoever ends TLS before the node. */
  const post = (node: NodeProcess, endpoint: string, parameters: Readonly<Record<string, string>>) =>
    node.call(`/api/oauth2/${endpoint}`, {
      method: 'POST',
      body: new URLSearchParams(parameters),
      headers: { 'x-forwarded-proto': 'https', connection: 'close' },
    })

  /** What the nodes make of a token, each of their workers, as far as the system deals connections out. */
  async function outcomes(token: string, asked = nodes): Promise<string[]> {
    const headers = { authorization: `Bearer ${token}`, connection: 'close' }
    const calls = asked.flatMap((node) => Array.from({ length: 4 }, () => node.call('/api', { headers })))
    const answers = await Promise.all(calls)
    return [
      ...new Set(
        answers.map(({ status, body }) =>
          status === 200 ? String(body.headers['x-consumer-username']) : String(status),
        ),
      ),
    ]
  }

  const newToken = async (node = one) => {
    const answer = await post(node, 'token', byUser)
    expect(answer.status, answer.text).equal(200)
    return answer.body as { access_token: string; refresh_token: string }
  }
  const idOf = async (token: string) =>
    (await one.ask('GET', `/oauth2_tokens?access_token=${token}`)).body.data[0].id as string

  describe('an application made with a client library', () => {
    const client: oauth.Client = { client_id: names.client_id }
    const secret = names.client_secret
    const options = {
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: (url: string, { headers, ...init }: { headers: Record<string, string> }) =>
        fetch(url, { ...init, headers: { ...headers, 'x-forwarded-proto': 'https' } }),
    }
    const server = (node: NodeProcess): oauth.AuthorizationServer => ({
      issuer: node.proxy,
      authorization_endpoint: `${node.proxy}/api/oauth2/authorize`,
      token_endpoint: `${node.proxy}/api/oauth2/token`,
    })
    /** What the browser brings back. */
    const consent = async (node: NodeProcess, parameters: Readonly<Record<string, string>>) => {
      const asked = { ...provider, client_id: names.client_id, response_type: 'code', ...parameters }
      const answer = await post(node, 'authorize', asked)
      expect(answer.status, answer.text).equal(200)
      return new URL(answer.body.redirect_uri)
    }
    const useToken = async (node: NodeProcess, token: string) => {
      const url = new URL(`${node.proxy}/api/resource`)
      const response = await oauth.protectedResourceRequest(token, 'GET', url, undefined, null, options)
      return ((await response.json()) as { headers: Record<string, string> }).headers
    }
    const failed = (error: unknown) => error as oauth.ResponseBodyError

    for (const [how, auth] of [
      ['the header', oauth.ClientSecretBasic(secret)],
      ['the body', oauth.ClientSecretPost(secret)],
    ] as const) {
      it(`gets through the code grant and refreshes its tokens, each at another node, its secret in ${how}`, async () => {
        const state = oauth.generateRandomState()
        const back = await consent(one, { state, scope: 'email profile', redirect_uri: redirectUri })
        expect(back.searchParams.get('kept')).equal('1')
        const brought = oauth.validateAuthResponse(server(two), client, back, state)
        const exchange = () =>
          oauth.authorizationCodeGrantRequest(
            ...([server(two), client, auth, brought, redirectUri, oauth.nopkce, options] as const),
          )
        const first = await oauth.processAuthorizationCodeResponse(server(two), client, await exchange())
        expect(first).include({ token_type: 'bearer', expires_in: 7200 })
        expect(await useToken(three, first.access_token)).include({
          ...{ 'x-authenticated-userid': 'id123', 'x-authenticated-scope': 'email profile' },
          'x-consumer-username': 'bob',
        })
        const again = await oauth
          .processAuthorizationCodeResponse(server(two), client, await exchange())
          .catch(failed)
        expect(again).include({ error: 'invalid_request', error_description: 'Invalid code' })

        const refresh = String(first.refresh_token)
        const renewing = await oauth.refreshTokenGrantRequest(server(three), client, auth, refresh, options)
        const second = await oauth.processRefreshTokenResponse(server(three), client, renewing)
        expect(second.refresh_token).not.equal(refresh)
        expect(await outcomes(first.access_token)).deep.equal(['401'])
        expect(await outcomes(second.access_token)).deep.equal(['bob'])
      })
    }

    it('gets a token for itself, and for a user whom somebody else has asked', async () => {
      const auth = oauth.ClientSecretBasic(secret)
      const own = await oauth.processClientCredentialsResponse(
        server(one),
        client,
        await oauth.clientCredentialsGrantRequest(server(one), client, auth, { scope: 'email' }, options),
      )
      expect(await useToken(two, own.access_token))
        .include({ 'x-authenticated-scope': 'email' })
        .not.have.property('x-authenticated-userid')
      const users = await oauth.processGenericTokenEndpointResponse(
        server(one),
        client,
        await oauth.genericTokenEndpointRequest(server(one), client, auth, 'password', provider, options),
      )
      expect(await useToken(two, users.access_token)).include({ 'x-authenticated-userid': 'id123' })
    })

    it('is told that its secret is wrong by a challenge', async () => {
      const auth = oauth.ClientSecretBasic('wrong')
      const response = await oauth.clientCredentialsGrantRequest(server(one), client, auth, {}, options)
      const error = await oauth
        .processClientCredentialsResponse(server(one), client, response)
        .catch((error: oauth.WWWAuthenticateChallengeError) => error)
      expect(error).instanceOf(oauth.WWWAuthenticateChallengeError)
      const { cause } = error as oauth.WWWAuthenticateChallengeError
      expect(cause[0]).deep.include({ scheme: 'basic', parameters: { realm: 'OAuth2.0' } })
    })
  })

  it('a token that one node gives out counts at all of them, and at none once it is taken back by another', async () => {
    for (let i = 0; i < 5; i++) {
      const { access_token } = await newToken(nodes[i % 3])
      expect(await outcomes(access_token)).deep.equal(['bob'])
      await write('DELETE', `/oauth2_tokens/${await idOf(access_token)}`, undefined, nodes[(i + 1) % 3])
      expect(await outcomes(access_token)).deep.equal(['401'])
    }
  })

  it('a token is not given out before the last node has it', async () => {
    three.signal('SIGSTOP')
    let isAnswered = false
    const asked = newToken(one).then((token) => {
      isAnswered = true
      return token
    })
    try {
      await until(async () => (await one.ask('GET', '/oauth2_tokens?size=0')).body.total === 1)
      // It would have come before these if nobody were waited for.
      for (let i = 0; i < 5; i++) expect((await one.call('/api')).status).equal(401)
      expect(isAnswered).equal(false)
    } finally {
      three.signal('SIGCONT')
    }
    expect(await outcomes((await asked).access_token, [three])).deep.equal(['bob'])
  })

  it('a token counts everywhere from when it is made, also where it was asked for in vain', async () => {
    expect(await outcomes('to-come')).deep.equal(['401'])
    const body = { credential_id: application, expires_in: 0, access_token: 'to-come' }
    await write('POST', '/oauth2_tokens', body, two)
    expect(await outcomes('to-come')).deep.equal(['bob'])
  })

  it('of all who show a code, or a refresh token, at once on any nodes one gets tokens', async () => {
    const everybody = (parameters: Readonly<Record<string, string>>) =>
      Promise.all(
        Array.from({ length: 12 }, (_, i) => post(nodes[i % 3] as NodeProcess, 'token', parameters)),
      )
    const winnerOf = (answers: readonly Answer[], fault: string) => {
      const winners = answers.filter(({ status }) => status === 200)
      const others = answers.filter(({ status }) => status !== 200)
      expect(winners).length(1)
      const refused = { error: 'invalid_request', error_description: fault }
      for (const { status, body } of others) expect([status, body]).deep.equal([400, refused])
      return winners[0]?.body as { access_token: string; refresh_token: string }
    }
    const asked = { ...provider, client_id: names.client_id, response_type: 'code' }
    const { redirect_uri } = (await post(one, 'authorize', asked)).body
    const code = new URL(redirect_uri).searchParams.get('code') as string
    const first = winnerOf(
      await everybody({ ...names, code, grant_type: 'authorization_code' }),
      'Invalid code',
    )
    expect(await outcomes(first.access_token)).deep.equal(['bob'])
    const { refresh_token } = first
    const renewing = { ...names, refresh_token, grant_type: 'refresh_token' }
    const second = winnerOf(await everybody(renewing), 'Invalid refresh_token')
    expect(await outcomes(first.access_token)).deep.equal(['401'])
    expect(await outcomes(second.access_token)).deep.equal(['bob'])
    expect((await one.ask('GET', '/oauth2_tokens')).body.total).equal(1)
  })

  /** Written by the first node, asked of the second. */
  describe('what is changed at one node', () => {
    const cached = async (key: string) => (await two.ask('GET', `/cache/${key}`)).status
    const asks = async (client_id = names.client_id) =>
      (await post(two, 'token', { ...byUser, client_id })).status
    const at = () => `/consumers/bob/oauth2/${application}`

    it('an application that is deleted is asked for in vain [contract 333]', async () => {
      expect([await asks(), await cached('oauth2_credentials:app')]).deep.equal([200, 200])
      await write('DELETE', at())
      expect([await cached('oauth2_credentials:app'), await asks()]).deep.equal([404, 400])
    })

    it('an application that is renamed is known by its new name alone [contract 334]', async () => {
      expect(await asks()).equal(200)
      await write('PATCH', at(), { client_id: 'renamed' })
      expect(await cached('oauth2_credentials:app')).equal(404)
      expect([await asks('renamed'), await asks()]).deep.equal([200, 400])
    })

    it('an application goes with its consumer, and so do its tokens [contract 335]', async () => {
      const { access_token } = await newToken()
      expect([await asks(), await outcomes(access_token)]).deep.equal([200, ['bob']])
      await write('DELETE', '/consumers/bob')
      expect(await cached('oauth2_credentials:app')).equal(404)
      expect(await cached(`oauth2_token:${access_token}`)).equal(404)
      expect([await asks(), await outcomes(access_token)]).deep.equal([400, ['401']])
      await write('POST', '/consumers', { username: 'bob' })
    })

    it('tokens go with the application [contract 338]', async () => {
      const { access_token } = await newToken()
      expect(await outcomes(access_token)).deep.equal(['bob'])
      await write('DELETE', at())
      expect(await cached(`oauth2_token:${access_token}`)).equal(404)
      expect(await outcomes(access_token)).deep.equal(['401'])
    })
  })

  it('neither events nor logs show a token, a code or a secret', async () => {
    const { access_token, refresh_token } = await newToken()
    const { data } = (await one.ask('GET', '/cluster/events?entity=oauth2_tokens&operation=create')).body
    const { actor, new: row } = data.find((event: JsonObject) => event.actor === 'plugins')
    expect([actor, row.access_token, row.refresh_token]).deep.equal(['plugins', '******', '******'])
    const applications = (await one.ask('GET', '/cluster/events?entity=oauth2_credentials')).text
    for (const text of [applications, JSON.stringify(data), ...nodes.map(({ output }) => output)]) {
      for (const secret of [access_token, refresh_token, names.client_secret])
        expect(text).not.include(secret)
    }
  })
})

describe('oauth2 without its datastore', function () {
  this.timeout(60_000)
  let server: TestServer
  let group: NodeGroup
  before(async () => {
    server = await testServer()
    group = await NodeGroup.make(await server.database())
    await group.start({ workers: 2 })
  })
  after(async () => {
    await group?.remove()
    await server?.remove()
  })

  it('lets in whom it knows, and gives nothing out: 503, never 401', async () => {
    const [node] = group.nodes as [NodeProcess]
    const api = { name: 'api', request_path: '/api', upstream_url: group.upstream.url }
    await node.ask('POST', '/apis', api)
    const config = {
      ...{ provision_key: provider.provision_key, enable_password_grant: true },
      accept_http_if_already_terminated: true,
    }
    await node.ask('POST', '/apis/api/plugins', { name: 'oauth2', config })
    await node.ask('POST', '/consumers', { username: 'bob' })
    await node.ask('POST', '/consumers/bob/oauth2', { name: 'x', redirect_uri: [redirectUri], ...names })
    const token = () =>
      node.call('/api/oauth2/token', {
        ...{ method: 'POST', body: new URLSearchParams(byUser) },
        headers: { 'x-forwarded-proto': 'https', connection: 'close' },
      })
    const { access_token } = (await token()).body
    const headers = { authorization: `Bearer ${access_token}`, connection: 'close' }
    const statuses = async () => {
      const calls = await Promise.all(Array.from({ length: 12 }, () => node.call('/api', { headers })))
      return [...new Set(calls.map(({ status }) => status))]
    }
    expect(await statuses()).deep.equal([200])
    await server.stop()
    expect(await statuses()).deep.equal([200])
    const refused = await token()
    expect([refused.status, refused.headers.get('retry-after')]).deep.equal([503, '1'])
    await server.start()
    await until(async () => (await token()).status === 200)
    expect(await statuses()).deep.equal([200])
  })
})
