// key-auth on real sockets; its Admin routes are tested with the Admin API.
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { type Answered, ask } from '../support/raw-http.ts'

const noKey = { message: 'No API Key found in headers, body or querystring' }
const wrongKey = { message: 'Invalid authentication credentials' }

describe('key-auth', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let plugin: Row
  let bob: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    plugin = gateway.addPlugin(api, 'key-auth', { key_names: ['apikey', 'X-Key'], hide_credentials: false })
    bob = gateway.addConsumer('bob', 'custom-1')
    gateway.addKey(bob, 'right')
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const configure = (config: JsonObject) =>
    gateway.catalog.put('plugins', { ...plugin, config: { ...(plugin.config as JsonObject), ...config } })
  const get = (target: string, ...headers: string[]) =>
    ask(gateway.port, target, { headers: ['Host', 'test', ...headers] })
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen
  const told = ({ status, body }: Answered) => [status, JSON.parse(body)]

  it('no key is 401 with a challenge [contract 155]', async () => {
    const answered = await get('/')
    expect(told(answered)).deep.equal([401, noKey])
    expect(answered.headers['www-authenticate']).equal('Key realm="troop"')
    expect(answered.body).match(/\n$/)
  })

  it('an unknown key is 403, in the query or in a header [contract 156]', async () => {
    expect(told(await get('/?apikey=wrong'))).deep.equal([403, wrongKey])
    expect(told(await get('/', 'apikey', 'wrong'))).deep.equal([403, wrongKey])
  })

  it('another name is no key, and neither is the body [contract 157, 158, 160, 161]', async () => {
    expect(told(await get('/?apikeys=right&APIKEY=right'))).deep.equal([401, noKey])
    expect(told(await get('/', 'apikey123', 'right'))).deep.equal([401, noKey])
    const headers = ['Host', 'test', 'Content-Type', 'application/x-www-form-urlencoded', 'wrong', 'right']
    const posted = await ask(gateway.port, '/', { method: 'POST', headers, body: 'apikey=right' })
    expect(told(posted)).deep.equal([401, noKey])
  })

  it('a right key in the query passes, and is forwarded [contract 159]', async () => {
    const reply = await get('/request?apikey=right&b=%2f')
    expect(reply.status).equal(200)
    expect(seen(reply).url).equal('/request?apikey=right&b=%2f')
  })

  it('a right key in a header tells the upstream who calls, whatever the client says [contract 162]', async () => {
    const reply = await get('/', 'APIKEY', 'right', 'X-Consumer-ID', 'eve', 'X-Consumer-Username', 'eve')
    expect(seen(reply).headers).include({
      ...{ 'x-consumer-id': bob.id, 'x-consumer-username': 'bob', 'x-consumer-custom-id': 'custom-1' },
    })
  })

  it('an attribute that the consumer lacks has no header', async () => {
    gateway.addKey(gateway.addConsumer(null, 'only-custom'), 'other')
    const { headers } = seen(await get('/', 'apikey', 'other', 'X-Consumer-Username', 'eve'))
    expect(headers).include({ 'x-consumer-custom-id': 'only-custom' })
    expect(headers).not.have.property('x-consumer-username')
  })

  it('a name with any character is told as UTF-8 and breaks out of nothing', async () => {
    gateway.addKey(gateway.addConsumer('Žofie\r\nX-Evil: 1'), 'other')
    const { headers } = seen(await get('/', 'apikey', 'other'))
    expect(Buffer.from(headers['x-consumer-username'] as string, 'latin1').toString()).equal(
      'Žofie%0D%0AX-Evil: 1',
    )
    expect(headers).not.have.property('x-evil')
  })

  it('the first name that is present is the key; the query is tried before the headers', async () => {
    gateway.addKey(gateway.addConsumer('eve'), 'eves')
    const who = async (...args: Parameters<typeof get>) =>
      seen(await get(...args)).headers['x-consumer-username']
    expect(await who('/?X-Key=eves&apikey=right')).equal('bob')
    expect(await who('/?apikey=eves', 'apikey', 'right')).equal('eve')
    expect(await who('/', 'X-Key', 'eves', 'apikey', 'right')).equal('bob')
  })

  it('when the query’s key is unknown, the header is tried', async () => {
    expect((await get('/?apikey=wrong', 'apikey', 'right')).status).equal(200)
    expect((await get('/?apikey=wrong', 'apikey', 'wrong')).status).equal(403)
  })

  it('a parameter without a value is no key, a repeated one is not taken for either', async () => {
    for (const query of ['apikey', 'apikey=', '&apikey&'])
      expect(told(await get(`/?${query}`)), query).deep.equal([401, noKey])
    expect((await get('/?apikey', 'apikey', 'right')).status).equal(200)
    for (const query of ['apikey=right&apikey=right', 'apikey=right&apikey', 'apikey&apikey=right']) {
      expect(told(await get(`/?${query}`)), query).deep.equal([403, wrongKey])
    }
    expect((await get('/', 'apikey', 'right', 'apikey', 'right')).status).equal(403)
    expect((await get('/', 'apikey', '')).status).equal(401)
  })

  it('keys and names are decoded, and nothing that can be encoded is an error', async () => {
    gateway.addKey(bob, 'a b&ü')
    expect((await get('/?%61pikey=a+b%26%C3%BC')).status).equal(200)
    expect((await get('/?apikey=%00')).status).equal(403)
    expect((await get('/?apikey=%ff%')).status).equal(403)
  })

  it('hide_credentials removes the key header and leaves the others alone [contract 164, 165]', async () => {
    configure({ hide_credentials: true })
    const { headers } = seen(await get('/', 'apikey', 'right', 'X-Other', 'stays'))
    expect(headers).not.have.property('apikey')
    expect(headers).include({ 'x-other': 'stays' })
  })

  it('hide_credentials removes the parameter and leaves the rest byte for byte [contract 167]', async () => {
    configure({ hide_credentials: true })
    expect(seen(await get('/a?x=%2f&apikey=right&&y&z=%ZZ|+')).url).equal('/a?x=%2f&&y&z=%ZZ|+')
    expect(seen(await get('/a?apikey=right')).url).equal('/a')
    expect(seen(await get('/a?%61pikey=right&b')).url).equal('/a?b')
  })

  it('hide_credentials with a wrong key is 403 [contract 166]', async () => {
    configure({ hide_credentials: true })
    expect(told(await get('/?apikey=wrong'))).deep.equal([403, wrongKey])
  })

  it('hide_credentials lets a multipart body of 5 MB through as it is [contract 163]', async () => {
    configure({ hide_credentials: true })
    const part = (name: string, value: string) =>
      `--XX\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
    const body = `${part('apikey', 'stays')}${part('big', 'x'.repeat(5 * 1024 * 1024))}--XX--\r\n`
    const headers = ['Host', 'test', 'apikey', 'right', 'Content-Type', 'multipart/form-data; boundary=XX']
    const reply = await ask(gateway.port, '/', { method: 'POST', headers, body })
    expect(reply.status).equal(200)
    expect(seen(reply).body === body).equal(true)
  })

  it('a consumer that is gone is 403 for the very next request [contract 85]', async () => {
    gateway.catalog.remove('consumers', () => true)
    expect(told(await get('/?apikey=right'))).deep.equal([403, wrongKey])
  })

  it('a renamed consumer is told by its new name [contract 86]', async () => {
    gateway.catalog.put('consumers', { ...bob, username: 'robert' })
    expect(seen(await get('/?apikey=right')).headers['x-consumer-username']).equal('robert')
  })
})
