// The plugin ssl: real handshakes with a gateway, and what its configuration may be.
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { expect } from 'chai'
import { PluginShapes } from '../../src/admin/plugin-shapes.ts'
import { Redaction } from '../../src/admin/redaction.ts'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { coreEntities } from '../../src/entities/entities.ts'
import { makeSelfSigned } from '../../src/node/self-signed.ts'
import type { KeyPair } from '../../src/plugins/plugin.ts'
import { ssl } from '../../src/plugins/ssl/ssl.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { startAdminOnPostgres } from '../support/admin.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { TestGateway } from '../support/gateway.ts'
import { ask, connect, connectTls } from '../support/raw-http.ts'

const own = { certificate, key: certificateKey }
const one = newPair()
const two = newPair()

describe('ssl', () => {
  let upstream: Upstream
  let gateway: TestGateway

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const addApi = (request_host: string) => gateway.addApi({ request_host, upstream_url: upstream.url })
  const add = (api: Row | null, { certificate: cert, key }: KeyPair, config: JsonObject = {}) =>
    gateway.addPlugin(api, 'ssl', {
      ...{ cert, key, only_https: false, accept_http_if_already_terminated: false },
      ...config,
    })

  /** Whose certificate a client gets that names `servername`. */
  async function shownTo(servername: string): Promise<string | undefined> {
    const socket = await connectTls(gateway.tlsPort, { servername, rejectUnauthorized: false })
    const { raw } = socket.getPeerCertificate()
    socket.destroy()
    const all = Object.entries({ own, one, two })
    return all.find(([, { certificate }]) => new X509Certificate(certificate).raw.equals(raw))?.[0]
  }

  describe('handshakes', () => {
    it('show what is configured for all APIs, where an API has none of its own, and not to unknown names', async () => {
      add(null, one)
      add(addApi('two.test'), two)
      addApi('without.test')
      expect(await shownTo('two.test')).equal('two')
      expect(await shownTo('without.test')).equal('one')
      expect(await shownTo('unknown.test')).equal('own')
    })

    it('show the certificate of the API that is named, else that of the listener [contract 449]', async () => {
      add(addApi('one.test'), one)
      addApi('without.test')
      expect(await shownTo('one.test')).equal('one')
      expect(await shownTo('ONE.test')).equal('one')
      expect(await shownTo('without.test')).equal('own')
      expect(await shownTo('unknown.test')).equal('own')
      expect(await shownTo('')).equal('own')
    })

    it('and what follows goes through as that API', async () => {
      add(addApi('one.test'), one)
      const tls = { servername: 'one.test', ca: one.certificate, checkServerIdentity: () => undefined }
      const reply = await ask(gateway.tlsPort, '/', { tls, headers: ['Host', 'one.test'] })
      expect(reply.status).equal(200)
    })

    it('of a wildcard show its certificate, unless an API has the very name', async () => {
      add(addApi('*.one.test'), one)
      add(addApi('two.one.test'), two)
      add(addApi('right.*'), two)
      expect(await shownTo('a.one.test')).equal('one')
      expect(await shownTo('two.one.test')).equal('two')
      expect(await shownTo('right.org')).equal('two')
      expect(await shownTo('one.test')).equal('own')
    })

    it('show a changed certificate, and that of the listener once it is gone or disabled [contract 454]', async () => {
      const api = addApi('one.test')
      const row = add(api, one)
      expect(await shownTo('one.test')).equal('one')
      const config = { ...(row.config as JsonObject), cert: two.certificate, key: two.key }
      gateway.catalog.put('plugins', { ...row, config })
      expect(await shownTo('one.test')).equal('two')
      gateway.catalog.put('plugins', { ...row, enabled: false })
      expect(await shownTo('one.test')).equal('own')
      gateway.catalog.put('plugins', row)
      expect(await shownTo('one.test')).equal('one')
      gateway.catalog.remove('plugins', ({ id }) => id === row.id)
      expect(await shownTo('one.test')).equal('own')
      add(api, one)
      gateway.catalog.remove('apis', ({ id }) => id === api.id)
      expect(await shownTo('one.test')).equal('own')
    })

    it('leave the connections before a change alone', async () => {
      const api = addApi('one.test')
      const row = add(api, one)
      const socket = await connectTls(gateway.tlsPort, { servername: 'one.test', rejectUnauthorized: false })
      gateway.catalog.remove('plugins', ({ id }) => id === row.id)
      socket.write('GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n')
      const chunks = await socket.toArray()
      expect(Buffer.concat(chunks).toString()).match(/^HTTP\/1\.1 200 /)
    })

    it('fail where somebody wrote what is no certificate past the Admin API; nothing else is shown', async () => {
      add(addApi('one.test'), { certificate: 'hello', key: one.key })
      const failed = await shownTo('one.test').catch((error) => error.code)
      expect(failed).match(/ECONNRESET|ALERT/)
      const line = gateway.lines.find(({ fields }) => fields.reason !== undefined)
      expect(JSON.stringify(line)).not.include(one.key.split('\n')[1])
      expect(await shownTo('other.test')).equal('own')
    })
  })

  describe('only_https', () => {
    const plain = (...headers: string[]) =>
      ask(gateway.port, '/', { headers: ['Host', 'one.test', ...headers] })

    it('refuses what comes without TLS and lets HTTPS pass [contract 450]', async () => {
      add(addApi('one.test'), one, { only_https: true })
      const reply = await plain()
      expect(reply.status).equal(426)
      expect(reply.reason).equal('Upgrade Required')
      expect(reply.headers).include({ connection: 'close, Upgrade', upgrade: 'TLS/1.0, HTTP/1.1' })
      expect(reply.body).equal('{"message":"Please use HTTPS protocol"}\n')
      expect(upstream.requests).equal(0)
      const tls = { servername: 'one.test', rejectUnauthorized: false }
      expect((await ask(gateway.tlsPort, '/', { tls, headers: ['Host', 'one.test'] })).status).equal(200)
    })

    it('closes the connection, also of a client that asks for a WebSocket', async () => {
      add(addApi('one.test'), one, { only_https: true })
      for (const more of ['', 'Connection: Upgrade\r\nUpgrade: websocket\r\n']) {
        const socket = await connect(gateway.port)
        socket.write(`GET / HTTP/1.1\r\nHost: one.test\r\n${more}\r\n`)
        const text = Buffer.concat(await socket.toArray()).toString()
        expect(text)
          .match(/^HTTP\/1\.1 426 /)
          .match(/Please use HTTPS protocol/)
      }
    })

    it('lets a client send its body, so that it can read the answer', async () => {
      add(addApi('one.test'), one, { only_https: true })
      const socket = await connect(gateway.port)
      socket.allowHalfOpen = true
      socket.write('POST / HTTP/1.1\r\nHost: one.test\r\nContent-Length: 9000000\r\n\r\n')
      const chunks: Buffer[] = []
      socket.on('data', (chunk) => chunks.push(chunk))
      await once(socket, 'end')
      expect(Buffer.concat(chunks).toString()).match(/^HTTP\/1\.1 426 /)
      const sent = once(socket, 'finish')
      socket.end(Buffer.alloc(9_000_000))
      await sent
      socket.destroy()
    })

    it('believes X-Forwarded-Proto only if told to, and only one that is https [contract 451]', async () => {
      const row = add(addApi('one.test'), one, { only_https: true })
      expect((await plain('X-Forwarded-Proto', 'https')).status).equal(426)
      const config = { ...(row.config as JsonObject), accept_http_if_already_terminated: true }
      gateway.catalog.put('plugins', { ...row, config })
      expect((await plain('X-Forwarded-Proto', 'https')).status).equal(200)
      expect((await plain('X-Forwarded-Proto', 'HTTPS')).status).equal(200)
      for (const headers of [
        [],
        ['X-Forwarded-Proto', 'http'],
        ['X-Forwarded-Proto', 'https, http'],
        ['X-Forwarded-Proto', 'https', 'X-Forwarded-Proto', 'https'],
      ])
        expect((await plain(...headers)).status, headers.join()).equal(426)
    })
  })
})

describe('ssl configurations', () => {
  let admin: Awaited<ReturnType<typeof startAdminOnPostgres>>
  const collection = '/apis/one/plugins'
  const good = { cert: one.certificate.trim(), key: one.key.trim() }

  before(async () => {
    admin = await startAdminOnPostgres({ plugins: [ssl] })
    const api = { name: 'one', request_host: 'one.test', upstream_url: 'http://upstream.test' }
    await admin.json('POST', '/apis', api)
  })
  after(() => admin.stop())
  afterEach(() => admin.test.query('delete from plugins'))

  const make = (config: JsonObject, others: JsonObject = {}) =>
    admin.json('POST', collection, { name: 'ssl', config, ...others })

  it('hold what was given, without what 0.8 computed', async () => {
    const reply = await make({ ...good, _cert_der_cache: 'MII=', _key_der_cache: 'MII=' })
    expect(reply.status).equal(201)
    const rest = { only_https: false, accept_http_if_already_terminated: false }
    expect(reply.body.config).deep.equal({ ...good, ...rest })
    const again = await admin.json('PUT', collection, reply.body)
    expect([again.status, again.body]).deep.equal([200, reply.body])
  })

  it('are refused with what is no certificate, and no key [contract 448]', async () => {
    const refused: [JsonObject, JsonObject][] = [
      [{ ...good, cert: 'asd' }, { 'config.cert': 'Invalid SSL certificate' }],
      [{ ...good, cert: good.key }, { 'config.cert': 'Invalid SSL certificate' }],
      [{ ...good, key: 'asd' }, { 'config.key': 'Invalid SSL certificate key' }],
      [{ ...good, key: good.cert }, { 'config.key': 'Invalid SSL certificate key' }],
      [
        { cert: 'a', key: 'b' },
        { 'config.cert': 'Invalid SSL certificate', 'config.key': 'Invalid SSL certificate key' },
      ],
      [{}, { 'config.cert': 'cert is required', 'config.key': 'key is required' }],
      [
        { ...good, key: lockedKey() },
        { 'config.key': 'Invalid SSL certificate key: it is protected by a passphrase' },
      ],
      [
        { ...good, key: two.key },
        { config: 'key is not the key of the certificate in cert: give both at once' },
      ],
    ]
    for (const [config, errors] of refused) {
      const reply = await make(config)
      expect([reply.status, reply.body]).deep.equal([400, errors])
    }
    const broken = await make({ ...good, cert: `${good.cert}\n${two.certificate.replace('MII', 'MIC')}` })
    expect(broken.status).equal(400)
    expect(broken.body.config).match(/^cert and key are refused by TLS \(ERR_/)
  })

  it('change with both at once, not with one of them', async () => {
    const { id } = (await make(good)).body
    const patch = (config: JsonObject) => admin.json('PATCH', `${collection}/${id}`, { config })
    expect((await patch({ cert: two.certificate })).status).equal(400)
    expect((await patch({ cert: two.certificate, key: two.key })).status).equal(200)
    expect((await patch({ only_https: true })).body.config).include({ cert: two.certificate.trim() })
  })

  it('are taken as files in a multipart body [contract 452]', async () => {
    const body = new FormData()
    body.set('name', 'ssl')
    const pem = (text: string) => new Blob([text], { type: 'application/x-x509-ca-cert' })
    body.set('config.cert', pem(one.certificate), 'one.crt')
    body.set('config.key', pem(one.key), 'one.key')
    body.set('config.only_https', 'true')
    const reply = await admin.fetch('POST', collection, { body })
    expect(reply.status, reply.text).equal(201)
    expect(reply.body.config).include({ ...good, only_https: true })
  })

  it('show in events that the key changed, and never which it is', () => {
    const redaction = new Redaction(coreEntities, new PluginShapes([ssl]))
    const row = (pair: KeyPair) => {
      const config = { cert: pair.certificate, key: pair.key, _key_der_cache: 'MII=' }
      return { id: '3c1a5c3e-2d5b-4a53-9d0e-1f7c7b6f0a11', name: 'ssl', config }
    }
    const event = { position: 8, first: 8, digest: 'd', at: 1, entity: 'plugins', actor: 'a', schema: 1 }
    const shown = redaction.show({ ...event, operation: 'update', old: row(one), new: row(two) })
    expect(shown.changed).deep.equal(['config'])
    for (const [image, { certificate }] of [[shown.old, one] as const, [shown.new, two] as const]) {
      expect((image as JsonObject).config).deep.equal({
        ...{ cert: certificate, key: '******', _key_der_cache: '******' },
      })
    }
  })

  it('are not for one consumer [contract 453]', async () => {
    const { id } = (await admin.json('POST', '/consumers', { username: 'bob' })).body
    const reply = await make(good, { consumer_id: id })
    expect(reply.status).equal(400)
    expect(reply.body).deep.equal({ message: 'No consumer can be configured for that plugin' })
  })
})

function newPair(): KeyPair {
  return makeSelfSigned({
    validFrom: 0,
    validTo: Date.UTC(2100, 0),
    serial: '0123456789abcdef0123456789abcdef',
  })
}

function lockedKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const locked = { cipher: 'aes-256-cbc', passphrase: 'x', type: 'pkcs8', format: 'pem' } as const
  return privateKey.export(locked).toString()
}
