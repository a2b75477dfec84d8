// hmac-auth on real sockets, the signatures made by hand and by openssl.
import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { Unknown } from '../../src/catalog/errors.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { requireProgram } from '../support/program.ts'
import { type Answered, ask } from '../support/raw-http.ts'
import { signatureOf, signedByDate, signingHeader } from '../support/signing.ts'

const unverifiable = 'HMAC signature cannot be verified'
const noDate = `${unverifiable}, a valid date or x-date header is required for HMAC Authentication`
const mismatch = 'HMAC signature does not match'

describe('hmac-auth', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let plugin: Row
  let bob: Row
  let row: Row
  let date: string

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    plugin = gateway.addPlugin(api, 'hmac-auth', { hide_credentials: false, clock_skew: 300 })
    gateway.addPlugin(api, 'recorder')
    bob = gateway.addConsumer('bob', 'custom-1')
    row = gateway.addCredential('hmacauth_credentials', bob, { username: 'bobs', secret: 'secret' })
    date = new Date().toUTCString()
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const configure = (config: JsonObject) =>
    gateway.catalog.put('plugins', { ...plugin, config: { ...(plugin.config as JsonObject), ...config } })
  const send = (headers: Readonly<Record<string, string>>, target = '/', method = 'GET') =>
    ask(gateway.port, target, { method, headers: ['Host', 'test', ...Object.entries(headers).flat()] })
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen
  const told = ({ status, body }: Answered) => [status, JSON.parse(body)]
  const refused = (message: string) => [403, { message }]
  const sign = (text: string) => signatureOf(text, 'secret')
  /** A signature over the date alone. */
  const good = (username = 'bobs') => signingHeader(username, 'date', sign(`date: ${date}`))

  it('without a header that could hold a signature it is 401, and no challenge [contract 201, 209]', async () => {
    for (const headers of [{ date }, { date, authorized: good() }]) {
      const answered = await send(headers)
      expect(told(answered)).deep.equal([401, { message: 'Unauthorized' }])
      expect(answered.headers).not.have.property('www-authenticate')
    }
  })

  const header = 'headers="date"'
  const unreadable: [what: string, value: () => string][] = [
    ['anything', () => 'asd'],
    ['a digest alone', () => `hmac ${sign(`date: ${date}`)}`],
    ['fields without =', () => 'hmac username,algorithm,headers,dXNlcm5hbWU6cGFzc3dvcmQ='],
    ['fields without quotes', () => good().replaceAll('"', '')],
    ['empty fields', () => 'hmac username=,algorithm,headers,dXNlcm5hbWU6cGFzc3dvcmQ='],
    ['empty quoted fields', () => 'hmac username="", algorithm="", headers="", signature=""'],
    ['a user name alone', () => 'hmac username="bobs"'],
    ['a user that nobody is', () => good('nobody')],
    ['a user that is blank', () => good('')],
    ['no user', () => good().replace('username="bobs", ', '')],
    ['the headers under another name', () => good().replace('headers=', 'wrong_header=')],
    ['the signature under another name', () => good().replace('signature=', 'wrong=')],
    ['a missing comma', () => good().replace(`${header},`, header)],
    ['a missing comma, and blanks', () => good().replace(`${header},`, 'headers="  date  "')],
    ['the fields in another order', () => good().replace(/(username="bobs"), (.*?),/, '$2, $1,')],
  ]
  for (const [what, value] of unreadable) {
    it(`${what} cannot be verified, in either header [contract 202, 204-208, 217-223]`, async () => {
      for (const place of ['authorization', 'proxy-authorization']) {
        expect(told(await send({ date, [place]: value() })), place).deep.equal(refused(unverifiable))
      }
      expect(upstream.requests).equal(0)
    })
  }

  it('without a good date is 403, whatever else is good [contract 203, 228, 229]', async () => {
    expect(told(await send({ authorization: good() }))).deep.equal(refused(noDate))
    for (const bad of ['wrong date', new Date(Date.now() + 400_000).toUTCString()]) {
      for (const place of ['date', 'x-date']) {
        const authorization = signingHeader('bobs', place, sign(`${place}: ${bad}`))
        expect(told(await send({ [place]: bad, authorization })), bad).deep.equal(refused(noDate))
      }
    }
  })

  it('may be as old, or as new, as clock_skew says', async () => {
    const status = async (ms: number) =>
      (await send(signedByDate('bobs', 'secret', new Date(Date.now() + ms)))).status
    for (const ms of [-290_000, 290_000]) expect(await status(ms)).equal(200)
    for (const ms of [-310_000, 310_000]) expect(await status(ms)).equal(403)
    configure({ clock_skew: 1000 })
    for (const ms of [-310_000, 310_000]) expect(await status(ms)).equal(200)
  })

  it('with a good signature over the date passes, and is forwarded [contract 210, 212]', async () => {
    for (const method of ['GET', 'POST']) {
      const authorization = good()
      const answered = await send({ date, authorization }, '/', method)
      expect(answered.status).equal(200)
      expect(seen(answered).headers).include({ date, authorization })
    }
  })

  it('may be in Proxy-Authorization alone [contract 211]', async () => {
    const { headers } = seen(await send({ date, 'proxy-authorization': good() }))
    expect(headers).include({ 'proxy-authorization': good() })
    expect(headers).not.have.property('authorization')
  })

  it('is good in either header, whatever the other one says [contract 213, 214]', async () => {
    for (const bad of ['hmac username', good('nobody'), signingHeader('bobs', 'date', sign('wrong'))]) {
      const first = { date, 'proxy-authorization': bad, authorization: good() }
      expect((await send(first)).status, bad).equal(200)
      const second = { date, 'proxy-authorization': good(), authorization: bad }
      expect((await send(second)).status, bad).equal(200)
    }
  })

  it('signs any headers in any order, and the request line [contract 215, 216, 224]', async () => {
    const headers = { date, 'Content-MD5': 'md5' }
    const two = signingHeader('bobs', 'date content-md5', sign(`date: ${date}\ncontent-md5: md5`))
    expect((await send({ ...headers, authorization: two })).status).equal(200)
    const text = `Content-MD5: md5\nrequest-line: no`
    expect((await send({ ...headers, authorization: two.replace('date content', 'content') })).status).equal(
      403,
    )
    for (const target of ['/', '/request?', '/a%2fb?x=%7e']) {
      const line = sign(`date: ${date}\ncontent-md5: md5\nGET ${target} HTTP/1.1`)
      const three = signingHeader('bobs', 'date content-md5 request-line', line)
      for (const authorization of [three, three.replaceAll(', ', ','), three.replace(', h', ',   h')])
        expect((await send({ ...headers, authorization }, target)).status, authorization).equal(200)
      expect((await send({ ...headers, authorization: three }, `${target}x`)).status).equal(403)
    }
    const named = signingHeader('bobs', 'Content-MD5 request-line', sign(text))
    expect((await send({ ...headers, 'request-line': 'no', authorization: named })).status).equal(200)
  })

  it('signs what is absent as that, and what comes twice as one', async () => {
    const absent = signingHeader('bobs', 'date x-none', sign(`date: ${date}\nx-none:`))
    expect((await send({ date, authorization: absent })).status).equal(200)
    expect((await send({ date, authorization: absent, 'x-none': 'x' })).status).equal(403)
    const twice = signingHeader('bobs', 'x-two', sign('x-two: a, b'))
    const raw = ['Host', 'test', 'Date', date, 'Authorization', twice, 'X-Two', 'a', 'X-Two', 'b']
    expect((await ask(gateway.port, '/', { headers: raw })).status).equal(200)
  })

  it('names an algorithm that is not looked at [contract 225]', async () => {
    const authorization = good().replace('hmac-sha1', 'hmac-sha256')
    expect((await send({ date, authorization })).status).equal(200)
  })

  it('tells the upstream who calls, whatever the client says [contract 226]', async () => {
    const lies = { 'x-consumer-id': 'eve', 'x-credential-username': 'eve' }
    const { headers } = seen(await send({ date, authorization: good(), ...lies }))
    expect(headers).include({
      ...{ 'x-consumer-id': bob.id, 'x-consumer-username': 'bob', 'x-consumer-custom-id': 'custom-1' },
      'x-credential-username': 'bobs',
    })
  })

  it('may be dated by x-date; one good date is enough, signed or not [contract 227, 230-233]', async () => {
    const over = (headers: string, text: string) => signingHeader('bobs', headers, sign(text))
    const bad = 'wrong date'
    const cases: Record<string, string>[] = [
      { 'x-date': date, authorization: over('x-date', `x-date: ${date}`) },
      { 'x-date': bad, date, authorization: over('content-md5', 'content-md5:') },
      { 'x-date': bad, date, authorization: over('date', `date: ${date}`) },
      { 'x-date': bad, date, authorization: over('x-date', `x-date: ${bad}`) },
      { 'x-date': date, date: bad, authorization: over('date', `date: ${bad}`) },
    ]
    for (const headers of cases) expect((await send(headers)).status, JSON.stringify(headers)).equal(200)
  })

  it('with another signature does not match: not the beginning, nor with more, nor what is no base64', async () => {
    const bytes = Buffer.from(sign(`date: ${date}`), 'base64')
    const more = Buffer.concat([bytes, Buffer.from('x')])
    for (const signature of [
      sign('another text'),
      signatureOf(`date: ${date}`, 'another secret'),
      bytes.subarray(0, 19).toString('base64'),
      more.toString('base64'),
      '!!!',
    ]) {
      const authorization = signingHeader('bobs', 'date', signature)
      expect(told(await send({ date, authorization })), signature).deep.equal(refused(mismatch))
    }
  })

  it('is not taken by a credential without a secret: anybody could sign', async () => {
    for (const secret of [null, '']) {
      gateway.catalog.put('hmacauth_credentials', { ...row, secret })
      const authorization = signingHeader('bobs', 'date', signatureOf(`date: ${date}`, ''))
      expect(told(await send({ date, authorization }))).deep.equal(refused(unverifiable))
    }
  })

  it('that comes twice is none', async () => {
    const raw = ['Host', 'test', 'Date', date, 'Authorization', good(), 'Authorization', good()]
    expect(told(await ask(gateway.port, '/', { headers: raw }))).deep.equal(refused(unverifiable))
  })

  it('with hide_credentials goes no further, looked at or not what is behind it', async () => {
    configure({ hide_credentials: true })
    const both = { date, 'proxy-authorization': good(), authorization: 'for the upstream' }
    const passed = seen(await send(both)).headers
    expect(passed).include({ authorization: 'for the upstream', date })
    expect(passed).not.have.property('proxy-authorization')
    expect(seen(await send({ date, authorization: good() })).headers).not.have.property('authorization')
    await send({ authorization: good() })
    const { request } = await gateway.record(3)
    expect(Object.keys((request as JsonObject).headers as JsonObject))
      .include('host')
      .not.include('authorization')
  })

  it('that was good is good as long as its date is, and for what it signs', async () => {
    const clock = new ManualClock()
    clock.advance(Date.now())
    await gateway.stop()
    gateway = await new TestGateway({ pluginClock: clock }).start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    gateway.addPlugin(api, 'hmac-auth', { clock_skew: 300 })
    gateway.catalog.put('consumers', bob)
    gateway.catalog.put('hmacauth_credentials', row)
    const headers = signedByDate('bobs', 'secret')
    for (let i = 0; i < 3; i++) expect((await send(headers)).status).equal(200)
    const later = new Date(clock.now() + 1000).toUTCString()
    expect(told(await send({ ...headers, date: later }))).deep.equal(refused(mismatch))
    gateway.catalog.put('hmacauth_credentials', { ...row, secret: 'new' })
    expect(told(await send(headers))).deep.equal(refused(mismatch))
    gateway.catalog.put('hmacauth_credentials', row)
    expect((await send(headers)).status).equal(200)
    clock.advance(302_000)
    expect(told(await send(headers))).deep.equal(refused(noDate))
  })

  it('counts for the very next request: renamed, another secret, deleted, the consumer gone [contract 238]', async () => {
    const status = async (username: string, secret: string) =>
      (await send(signedByDate(username, secret))).status
    expect(await status('bobs', 'secret')).equal(200)
    gateway.catalog.put('hmacauth_credentials', { ...row, username: 'roberts' })
    expect([await status('bobs', 'secret'), await status('roberts', 'secret')]).deep.equal([403, 200])
    gateway.catalog.put('hmacauth_credentials', { ...row, secret: 'new' })
    expect([await status('bobs', 'secret'), await status('bobs', 'new')]).deep.equal([403, 200])
    gateway.catalog.remove('consumers', () => true)
    expect(told(await send(signedByDate('bobs', 'new')))).deep.equal(refused(unverifiable))
    gateway.catalog.remove('hmacauth_credentials', () => true)
    expect(await status('bobs', 'new')).equal(403)
  })

  it('that is not known for sure is 503', async () => {
    gateway.catalog.onLookup = (key) => {
      if (key === 'hmacauth_credentials:bobs') throw new Unknown(key)
    }
    expect((await send({ date, authorization: good() })).status).equal(503)
  })

  it('is what openssl makes of the same text', async function () {
    const openssl = requireProgram(this, 'openssl')
    const target = '/a?x=%2f'
    const text = `date: ${date}\nhost: test\nGET ${target} HTTP/1.1`
    const args = ['dgst', '-sha1', '-hmac', 'secret', '-binary']
    const signature = execFileSync(openssl, args, { input: text }).toString('base64')
    const authorization = signingHeader('bobs', 'date host request-line', signature)
    expect((await send({ date, authorization }, target)).status).equal(200)
  })
})
