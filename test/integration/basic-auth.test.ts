// basic-auth on real sockets.
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { Unknown } from '../../src/catalog/errors.ts'
import type { Writer } from '../../src/plugins/plugin.ts'
import { noWriter } from '../../src/testing/data-plane.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { basic, cheapHash, oldHash } from '../support/passwords.ts'
import { type Answered, ask } from '../support/raw-http.ts'

const challenged = [401, { message: 'Unauthorized' }]
const refused = [403, { message: 'Invalid authentication credentials' }]
const rows = 'basicauth_credentials'

describe('basic-auth', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let plugin: Row
  let bob: Row
  let row: Row

  /** Writes into the catalog, as the log would have it. */
  const writer: Writer = {
    ...noWriter,
    async update(entity, where, values) {
      if (where.id !== row.id || where.password !== row.password) return false
      row = { ...row, ...values }
      gateway.catalog.put(entity.name, row)
      renewed.resolve()
      return true
    },
  }
  let renewed: PromiseWithResolvers<void>

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway({ writer }).start()
    renewed = Promise.withResolvers()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    plugin = gateway.addPlugin(api, 'basic-auth', { hide_credentials: false })
    gateway.addPlugin(api, 'recorder')
    bob = gateway.addConsumer('bob', 'custom-1')
    row = gateway.addCredential(rows, bob, { username: 'bobs', password: cheapHash('sesame') })
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const send = (headers: Readonly<Record<string, string>>, method = 'GET') =>
    ask(gateway.port, '/', { method, headers: ['Host', 'test', ...Object.entries(headers).flat()] })
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen
  const told = ({ status, body }: Answered) => [status, JSON.parse(body)]
  const good = basic('bobs', 'sesame')
  const places = ['authorization', 'proxy-authorization']

  it('without a header it is 401 with a challenge [contract 178, 183]', async () => {
    for (const headers of [{}, { '123Authorization': good }] as Record<string, string>[]) {
      const answered = await send(headers)
      expect(told(answered)).deep.equal(challenged)
      expect(answered.headers['www-authenticate']).equal('Basic realm="troop"')
    }
    expect(upstream.requests).equal(0)
  })

  const encode = (text: string | Buffer) => `Basic ${Buffer.from(text as string).toString('base64')}`
  const bad: [what: string, value: string][] = [
    ['garbage', 'foobar'],
    ['garbage after the word', 'Basic f%obar'],
    ['the word alone', 'Basic '],
    ['another scheme', good.replace('Basic', 'Bearer')],
    ['a password alone', encode(':sesame')],
    ['the same without a colon', encode('sesame')],
    ['a name alone', encode('bobs')],
    ['a name and no password', encode('bobs:')],
    ['a wrong password', basic('bobs', 'Sesame')],
    ['another name', basic('Bobs', 'sesame')],
    ['what is no UTF-8', encode(Buffer.from('bobs:s\xe9same', 'latin1'))],
    ['two of them', `${good}, ${good}`],
  ]
  for (const [what, value] of bad) {
    it(`${what} is 403, in either header [contract 179-182]`, async () => {
      for (const place of places) expect(told(await send({ [place]: value })), place).deep.equal(refused)
      expect(upstream.requests).equal(0)
    })
  }

  it('the right pair passes, in either header, and is forwarded [contract 184-186]', async () => {
    for (const place of places) {
      for (const method of ['GET', 'POST']) {
        const answered = await send({ [place]: good }, method)
        expect(answered.status).equal(200)
        expect(seen(answered).headers).include({ [place]: good })
      }
    }
    for (const spelled of [good.replace('Basic', 'basic'), good.replace('Basic ', 'Basic   ')])
      expect((await send({ authorization: spelled })).status).equal(200)
  })

  it('the right pair in one header passes, whatever the other one says [contract 187, 188]', async () => {
    for (const wrong of ['foobar', basic('bobs', 'wrong'), basic('eve', 'sesame')]) {
      const first = { 'proxy-authorization': wrong, authorization: good }
      expect(seen(await send(first)).headers).include(first)
      const second = { 'proxy-authorization': good, authorization: wrong }
      expect(seen(await send(second)).headers).include(second)
    }
  })

  it('tells the upstream who calls, whatever the client says [contract 189]', async () => {
    const lies = { 'x-consumer-id': 'eve', 'x-credential-username': 'eve' }
    const { headers } = seen(await send({ authorization: good, ...lies }))
    expect(headers).include({
      ...{ 'x-consumer-id': bob.id, 'x-consumer-username': 'bob', 'x-consumer-custom-id': 'custom-1' },
      'x-credential-username': 'bobs',
    })
  })

  it('a password may have colons, blanks and any character', async () => {
    for (const password of ['a:b:c', ' a b ', 'ž日\n']) {
      gateway.catalog.put(rows, { ...row, password: cheapHash(password) })
      expect((await send({ authorization: basic('bobs', password) })).status, password).equal(200)
    }
  })

  it('a credential without a password lets nobody in', async () => {
    gateway.catalog.put(rows, { ...row, password: null })
    for (const pair of ['bobs', 'bobs:', 'bobs:null', 'bobs:undefined'])
      expect(told(await send({ authorization: encode(pair) })), pair).deep.equal(refused)
  })

  it('what comes twice is none: the upstream might read the other one', async () => {
    const headers = ['Host', 'test', 'Authorization', good, 'Authorization', good]
    expect(told(await ask(gateway.port, '/', { headers }))).deep.equal(refused)
  })

  it('hide_credentials removes what was looked at, and no more [contract 190, 191]', async () => {
    gateway.catalog.put('plugins', { ...plugin, config: { hide_credentials: true } })
    for (const place of places) expect(seen(await send({ [place]: good })).headers).not.have.property(place)
    const both = { 'proxy-authorization': good, authorization: 'for the upstream' }
    const { headers } = seen(await send(both))
    expect(headers).include({ authorization: 'for the upstream' }).not.have.property('proxy-authorization')
    await send({ authorization: basic('bobs', 'almost') })
    const { request } = await gateway.record(4)
    const logged = (request as JsonObject).headers as JsonObject
    expect(Object.keys(logged)).include('host').not.include('authorization')
  })

  it('a password of 0.8 is right, and is one of today after its first use', async () => {
    row = { ...row, password: oldHash('sesame', bob.id as string) }
    gateway.catalog.put(rows, row)
    expect(told(await send({ authorization: basic('bobs', 'wrong') }))).deep.equal(refused)
    expect((await send({ authorization: good })).status).equal(200)
    await renewed.promise
    expect(row.password).match(/^\$argon2id\$/)
    expect((await send({ authorization: good })).status).equal(200)
    expect(told(await send({ authorization: basic('bobs', 'wrong') }))).deep.equal(refused)
  })

  it('counts for the very next request: renamed, another password, deleted, the consumer gone [contract 200]', async () => {
    const passes = async (username: string, password: string) =>
      (await send({ authorization: basic(username, password) })).status === 200
    expect(await passes('bobs', 'sesame')).equal(true)
    gateway.catalog.put(rows, { ...row, username: 'roberts' })
    expect([await passes('bobs', 'sesame'), await passes('roberts', 'sesame')]).deep.equal([false, true])
    gateway.catalog.put(rows, { ...row, password: cheapHash('new') })
    expect([await passes('bobs', 'sesame'), await passes('bobs', 'new')]).deep.equal([false, true])
    gateway.catalog.remove('consumers', () => true)
    expect(told(await send({ authorization: basic('bobs', 'new') }))).deep.equal(refused)
    gateway.catalog.remove(rows, () => true)
    expect(await passes('bobs', 'new')).equal(false)
  })

  it('what is not known for sure is 503', async () => {
    gateway.catalog.onLookup = (key) => {
      if (key === 'basicauth_credentials:bobs') throw new Unknown(key)
    }
    expect((await send({ authorization: good })).status).equal(503)
    expect(upstream.requests).equal(0)
  })
})
