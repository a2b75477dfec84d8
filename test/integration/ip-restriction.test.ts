import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { ipRestriction } from '../../src/plugins/ip-restriction/ip-restriction.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { sendAs, startAdminOnPostgres } from '../support/admin.ts'
import { TestGateway } from '../support/gateway.ts'
import { ask } from '../support/raw-http.ts'

describe('ip-restriction', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway({ trustedIps: ['127.0.0.1'] }).start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const add = (config: JsonObject, consumer: Row | null = null) =>
    gateway.addPlugin(api, 'ip-restriction', config, consumer)
  const from = (address: string, ...headers: string[]) =>
    ask(gateway.port, '/', { headers: ['Host', 'test', 'X-Forwarded-For', address, ...headers] })
  const statuses = async (...addresses: string[]) => {
    const answers = await Promise.all(addresses.map((address) => from(address)))
    return answers.map(({ status }) => status)
  }

  it('an address on the blacklist is kept out, others pass [contract 386]', async () => {
    add({ blacklist: ['127.0.0.1', '5.5.5.5'] })
    const answered = await ask(gateway.port, '/')
    expect([answered.status, answered.body]).deep.equal([
      403,
      '{"message":"Your IP address is not allowed"}\n',
    ])
    expect(upstream.requests).equal(0)
    expect(await statuses('5.5.5.5', '5.5.5.6')).deep.equal([403, 200])
  })

  it('with a whitelist only those on it pass [contract 387]', async () => {
    const row = add({ whitelist: ['5.5.5.5'] })
    expect(await statuses('5.5.5.5', '5.5.5.6')).deep.equal([200, 403])
    gateway.catalog.put('plugins', { ...row, config: { whitelist: ['5.5.5.5', '5.5.5.6'], blacklist: [] } })
    expect(await statuses('5.5.5.5', '5.5.5.6', '5.5.5.7')).deep.equal([200, 200, 403])
  })

  it('a range keeps out all that is in it [contract 388]', async () => {
    add({ blacklist: ['127.0.0.0/24', '2001:db8::/32'] })
    expect((await ask(gateway.port, '/')).status).equal(403)
    expect(await statuses('127.0.1.1', '2001:db8::1', '2001:db9::1', '::ffff:127.0.0.9')).deep.equal([
      200, 403, 200, 403,
    ])
  })

  it('a change of the list takes effect with the next request [contract 389]', async () => {
    const row = add({ blacklist: ['5.5.5.5'] })
    expect(await statuses('6.6.6.6')).deep.equal([200])
    gateway.catalog.put('plugins', { ...row, config: { blacklist: ['5.5.5.5', '6.6.6.6'] } })
    expect(await statuses('6.6.6.6')).deep.equal([403])
  })

  it('a consumer may have a list of his own', async () => {
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    const bob = gateway.addConsumer('bob')
    gateway.addKey(bob, 'bobs')
    gateway.addKey(gateway.addConsumer('eve'), 'eves')
    add({ whitelist: ['5.5.5.5'] })
    add({ whitelist: ['6.6.6.6'] }, bob)
    const asked = [await from('6.6.6.6', 'apikey', 'bobs'), await from('6.6.6.6', 'apikey', 'eves')]
    expect(asked.map(({ status }) => status)).deep.equal([200, 403])
  })

  it('a list that cannot be read, written into the table by hand, lets nobody pass', async () => {
    add({ blacklist: ['hello'] })
    expect(await statuses('5.5.5.5')).deep.equal([500])
  })

  it('where the table has both lists, the whitelist decides', async () => {
    add({ blacklist: ['5.5.5.5'], whitelist: ['5.5.5.5'] })
    expect(await statuses('5.5.5.5', '5.5.5.6')).deep.equal([200, 403])
  })

  it('what its configuration may be [contract 390, 391]', async () => {
    const admin = await startAdminOnPostgres({ plugins: [ipRestriction] })
    try {
      await admin.json('POST', '/apis', { name: 'api', request_host: 'a.com', upstream_url: 'http://a.com' })
      const post = sendAs(admin, 'json')
      const told = async (config: JsonObject) =>
        (await post('POST', '/apis/api/plugins', { name: 'ip-restriction', config })).body
      for (const list of ['whitelist', 'blacklist']) {
        expect(await told({ [list]: 12 })).deep.equal({ [`config.${list}`]: `${list} is not a array` })
        for (const value of ['hello', ['127.0.0.1', 'hello']]) {
          const error = "cannot parse 'hello': Invalid IP"
          expect(await told({ [list]: value })).deep.equal({ [`config.${list}`]: error })
        }
      }
      const both = 'you cannot set both a whitelist and a blacklist'
      expect(await told({ whitelist: ['1.1.1.1'], blacklist: ['1.1.1.1'] })).deep.equal({ config: both })
      const none = 'you must set at least a whitelist or blacklist'
      expect(await told({ whitelist: [], blacklist: [] })).deep.equal({ config: none })
      expect(await told({})).deep.equal({ config: none })
      const { id, config } = await told({ blacklist: '1.1.1.1,2.0.0.0/8' })
      expect(config).deep.equal({ blacklist: ['1.1.1.1', '2.0.0.0/8'] })
      const patched = await admin.json('PATCH', `/apis/api/plugins/${id}`, {
        config: { whitelist: ['1.1.1.1'] },
      })
      expect([patched.status, patched.body]).deep.equal([400, { config: both }])
      const turned = { config: { whitelist: ['1.1.1.1'], blacklist: [] } }
      expect((await admin.json('PATCH', `/apis/api/plugins/${id}`, turned)).status).equal(200)
    } finally {
      await admin.stop()
    }
  })
})
