// jwt on real sockets. Good tokens are made by jose, a library of others; bad ones by hand.
import { generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto'
import { expect } from 'chai'
import { type JWTPayload, SignJWT } from 'jose'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { Unknown } from '../../src/catalog/errors.ts'
import { algorithmNames } from '../../src/plugins/jwt/algorithms.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { type Answered, ask } from '../support/raw-http.ts'
import { encodedPart, signedToken } from '../support/token.ts'

const secret = 'a secret that is long enough for HS512, which asks for sixty-four bytes at least'
const pemOf = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString()

describe('jwt', () => {
  const pairs = {
    RS: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ES512: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  }
  const pairOf = (algorithm: string) => pairs[algorithm as keyof typeof pairs] ?? pairs.RS
  let upstream: Upstream
  let gateway: TestGateway
  let plugin: Row
  let bob: Row
  let clock: ManualClock
  let now: number

  beforeEach(async () => {
    upstream = await new Upstream().start()
    clock = new ManualClock()
    clock.advance(Date.now())
    gateway = await new TestGateway({ pluginClock: clock }).start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    const config = { uri_param_names: ['jwt'], key_claim_name: 'iss', secret_is_base64: false }
    plugin = gateway.addPlugin(api, 'jwt', config)
    bob = gateway.addConsumer('bob', 'custom-1')
    addSecret(bob, { key: 'bobs' })
    now = Math.floor(clock.now() / 1000)
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const addSecret = (consumer: Row, attributes: JsonObject) =>
    gateway.addCredential('jwt_secrets', consumer, {
      ...{ secret, algorithm: 'HS256', rsa_public_key: null },
      ...attributes,
    })
  const configure = (config: JsonObject) =>
    gateway.catalog.put('plugins', { ...plugin, config: { ...(plugin.config as JsonObject), ...config } })
  const get = (target: string, ...headers: string[]) =>
    ask(gateway.port, target, { headers: ['Host', 'test', ...headers] })
  const send = (token: string) => get('/', 'Authorization', `Bearer ${token}`)
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen
  const told = ({ status, body }: Answered) => [status, JSON.parse(body)]
  const refused = (status: number, message: string) => [status, { message }]

  /** By jose. */
  const sign = (claims: JWTPayload, alg = 'HS256', key: KeyObject | Uint8Array = Buffer.from(secret)) =>
    new SignJWT(claims).setProtectedHeader({ alg, typ: 'JWT' }).sign(key)
  /** By hand, so that it can be wrong. */
  const craft = (
    header: JsonObject,
    claims: string | JsonObject,
    key: string | Buffer = secret,
    digest?: string,
  ) => signedToken(claims, key, header, digest)
  const good = { alg: 'HS256', typ: 'JWT' }

  it('without a token is 401 [contract 240]', async () => {
    for (const headers of [[], ['Authorization', 'Basic dTpw'], ['Authorization', 'Bearer '], ['jwt', 'x']]) {
      const answered = await get('/?jwt=&jwt&other=x', ...headers)
      expect(told(answered)).deep.equal(refused(401, 'Unauthorized'))
    }
    expect(upstream.requests).equal(0)
  })

  it('with a blank within it is none', async () => {
    const [start, end] = [craft(good, { iss: 'bobs' }).slice(0, -3), craft(good, { iss: 'bobs' }).slice(-3)]
    expect((await send(start + end)).status).equal(200)
    for (const blank of [' ', '\t', '\xa0'])
      expect(told(await send(start + blank + end)), blank).deep.equal(refused(401, 'Unauthorized'))
  })

  it('without the claim that names the key is 401 [contract 241]', async () => {
    for (const claims of [{}, { iss: null }, { iss: 5 }, { iss: ['bobs'] }]) {
      const answered = await send(craft(good, claims as JsonObject))
      expect(told(answered)).deep.equal(refused(401, "No mandatory 'iss' in claims"))
    }
    configure({ key_claim_name: 'constructor' })
    expect(told(await send(craft(good, {})))).deep.equal(refused(401, "No mandatory 'constructor' in claims"))
  })

  it('with a key that nobody has is 403 [contract 242]', async () => {
    expect(told(await send(await sign({ iss: 'nobodys' })))).deep.equal(
      refused(403, "No credentials found for given 'iss'"),
    )
  })

  it('signed with another secret, or cut, or changed, is 403 [contract 243]', async () => {
    const token = await sign({ iss: 'bobs' })
    const [header, , signature] = token.split('.')
    for (const bad of [
      await sign({ iss: 'bobs' }, 'HS256', Buffer.from(`${secret}.`)),
      `${header}.${encodedPart({ iss: 'bobs', admin: true })}.${signature}`,
      craft(good, { iss: 'bobs' }).replace(/[^.]*$/, ''),
      craft(good, { iss: 'bobs' }).replace(/[^.]*$/, (whole) => whole.slice(0, 40)),
    ])
      expect(told(await send(bad)), bad).deep.equal(refused(403, 'Invalid signature'))
  })

  it('is verified by the algorithm of the credential and no other [contract 244]', async () => {
    const wrong = refused(403, 'Invalid algorithm')
    for (const algorithm of ['HS384', 'HS512']) {
      const digest = `sha${algorithm.slice(2)}`
      const token = craft({ alg: algorithm }, { iss: 'bobs' }, secret, digest)
      expect(told(await send(token)), algorithm).deep.equal(wrong)
    }
    // What everybody knows, the public key, is not a secret to sign with.
    const rsa_public_key = pemOf(pairs.RS.publicKey)
    addSecret(gateway.addConsumer('eve'), { key: 'rs', algorithm: 'RS256', rsa_public_key })
    const confused = craft(good, { iss: 'rs' }, rsa_public_key)
    expect(told(await send(confused))).deep.equal(wrong)
  })

  it('in Authorization passes, is forwarded, and tells who calls [contract 245]', async () => {
    const token = await sign({ iss: 'bobs' })
    for (const scheme of ['Bearer', 'bearer']) {
      const answered = await get('/', 'Authorization', `${scheme} ${token}`, 'X-Consumer-Username', 'eve')
      expect(answered.status).equal(200)
      expect(seen(answered).headers).include({
        authorization: `${scheme} ${token}`,
        'x-consumer-id': bob.id,
        'x-consumer-username': 'bob',
        'x-consumer-custom-id': 'custom-1',
      })
    }
  })

  it('may name its key in another claim [contract 246]', async () => {
    configure({ key_claim_name: 'aud' })
    expect((await send(await sign({ aud: 'bobs' }))).status).equal(200)
    expect((await send(await sign({ iss: 'bobs' }))).status).equal(401)
  })

  it('may have a secret that is base64, of either alphabet [contract 247]', async () => {
    configure({ secret_is_base64: true })
    const bytes = Buffer.from('\xfb\xff\xfe and more', 'latin1')
    for (const encoding of ['base64', 'base64url'] as const) {
      addSecret(bob, { key: encoding, secret: bytes.toString(encoding) })
      expect((await send(craft(good, { iss: encoding }, bytes))).status, encoding).equal(200)
    }
    const pem = Buffer.from(pemOf(pairs.RS.publicKey)).toString('base64')
    addSecret(bob, { key: 'pem', algorithm: 'RS256', rsa_public_key: pem })
    expect((await send(await sign({ iss: 'pem' }, 'RS256', pairs.RS.privateKey))).status).equal(200)
  })

  it('is not verified by a key that decodes to nothing: anybody could sign with that', async () => {
    configure({ secret_is_base64: true })
    for (const bad of ['!!!', '====', '-*-', 'A', 'A==']) {
      addSecret(bob, { key: bad, secret: bad })
      expect(told(await send(craft(good, { iss: bad }, ''))), bad).deep.equal(
        refused(403, 'Invalid signature'),
      )
    }
  })

  it('in the query passes, in a parameter of any name, and stays there [contract 248]', async () => {
    const token = await sign({ iss: 'bobs' })
    expect(seen(await get(`/a?x=%2f&jwt=${token}`)).url).equal(`/a?x=%2f&jwt=${token}`)
    configure({ uri_param_names: ['first', 'token'] })
    expect((await get(`/?jwt=${token}`)).status).equal(401)
    expect((await get(`/?token=${token}`)).status).equal(200)
    expect((await get(`/?token=${token}&first=bad`)).status).equal(401)
    expect((await get('/?token', 'Authorization', `Bearer ${token}`)).status).equal(200)
    configure({ uri_param_names: null })
    expect((await get(`/?jwt=${token}`)).status).equal(401)
    expect((await send(token)).status).equal(200)
  })

  it('that comes twice is none: the upstream might read the other one', async () => {
    const token = await sign({ iss: 'bobs' })
    const twice = refused(401, 'Bad token; given more than once')
    expect(told(await get(`/?jwt=${token}&jwt=${token}`))).deep.equal(twice)
    const header = ['Authorization', `Bearer ${token}`]
    expect(told(await get('/', ...header, ...header))).deep.equal(twice)
  })

  for (const algorithm of algorithmNames) {
    const isShared = algorithm.startsWith('HS')
    it(`that jose signs by ${algorithm} passes, and its signature alone [contract 249, 258]`, async () => {
      const keys = isShared ? {} : { rsa_public_key: pemOf(pairOf(algorithm).publicKey) }
      addSecret(gateway.addConsumer('ann'), { key: 'anns', secret: 'x', algorithm, ...keys })
      const key = isShared ? Buffer.from('x'.repeat(64)) : pairOf(algorithm).privateKey
      if (isShared) addSecret(gateway.addConsumer('joe'), { key: 'joes', secret: 'x'.repeat(64), algorithm })
      const token = await sign({ iss: isShared ? 'joes' : 'anns' }, algorithm, key)
      const answered = await send(token)
      expect(seen(answered).headers).include({ 'x-consumer-username': isShared ? 'joe' : 'ann' })
      const bytes = Buffer.from(token.split('.')[2] as string, 'base64url')
      bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1
      const bad = refused(403, 'Invalid signature')
      for (const signature of [bytes, bytes.subarray(1), Buffer.concat([bytes, bytes]), Buffer.alloc(0)]) {
        const text = token.replace(/[^.]*$/, signature.toString('base64url'))
        expect(told(await send(text))).deep.equal(bad)
      }
    })
  }

  it('by RS256 tells its own consumer, whoever else has a credential [contract 249]', async () => {
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
    for (const [name, { publicKey }] of Object.entries({ ann: pairs.RS, joe: other })) {
      const consumer = gateway.addConsumer(name)
      addSecret(consumer, { key: name, algorithm: 'RS256', rsa_public_key: pemOf(publicKey) })
    }
    for (const [name, { privateKey }] of Object.entries({ ann: pairs.RS, joe: other })) {
      const answered = await send(await sign({ iss: name }, 'RS256', privateKey))
      expect(seen(answered).headers['x-consumer-username']).equal(name)
    }
    expect((await send(await sign({ iss: 'ann' }, 'RS256', other.privateKey))).status).equal(403)
  })

  it('is not verified by a public key that is none, or one for another algorithm', async () => {
    const keys = [null, 'no key', pemOf(pairs.ES256.publicKey), pemOf(pairs.ES384.publicKey)]
    for (const [i, rsa_public_key] of keys.entries()) {
      addSecret(bob, { key: `rs-${i}`, algorithm: 'RS256', rsa_public_key })
      const token = await sign({ iss: `rs-${i}` }, 'RS256', pairs.RS.privateKey)
      expect(told(await send(token)), String(i)).deep.equal(refused(403, 'Invalid signature'))
    }
    // A signature that is right, on another curve than the algorithm's.
    const { publicKey, privateKey } = pairs.ES384
    addSecret(bob, { key: 'es', algorithm: 'ES256', rsa_public_key: pemOf(publicKey) })
    const signed = craft({ alg: 'ES256' }, { iss: 'es' }).replace(/\.[^.]*$/, '')
    const how = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
    const token = `${signed}.${signBytes('sha256', Buffer.from(signed), how).toString('base64url')}`
    expect(told(await send(token))).deep.equal(refused(403, 'Invalid signature'))
  })

  it('is verified by the key that the credential has now [contract 256]', async () => {
    const row = addSecret(bob, { key: 'first' })
    const token = await sign({ iss: 'first' })
    expect((await send(token)).status).equal(200)
    gateway.catalog.put('jwt_secrets', { ...row, secret: 'another' })
    expect((await send(token)).status).equal(403)
    gateway.catalog.put('jwt_secrets', { ...row, key: 'second' })
    expect(told(await send(token))).deep.equal(refused(403, "No credentials found for given 'iss'"))
    expect((await send(await sign({ iss: 'second' }))).status).equal(200)
    gateway.catalog.remove('jwt_secrets', ({ key }) => key === 'second')
    expect((await send(await sign({ iss: 'second' }))).status).equal(403)
  })

  it("that was good is not by another algorithm or key, and is its new owner's", async () => {
    const eve = gateway.addConsumer('eve')
    const row = addSecret(bob, { key: 'keys', algorithm: 'RS256', rsa_public_key: pemOf(pairs.RS.publicKey) })
    const token = await sign({ iss: 'keys' }, 'RS256', pairs.RS.privateKey)
    expect(seen(await send(token)).headers['x-consumer-username']).equal('bob')
    gateway.catalog.put('jwt_secrets', { ...row, consumer_id: eve.id as string })
    expect(seen(await send(token)).headers['x-consumer-username']).equal('eve')
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
    gateway.catalog.put('jwt_secrets', { ...row, rsa_public_key: pemOf(other.publicKey) })
    expect(told(await send(token))).deep.equal(refused(403, 'Invalid signature'))
    gateway.catalog.put('jwt_secrets', { ...row, algorithm: 'RS384' })
    expect(told(await send(token))).deep.equal(refused(403, 'Invalid algorithm'))
    gateway.catalog.put('jwt_secrets', row)
    expect((await send(token)).status).equal(200)
  })

  it('of a consumer that is gone is 403, and says whose', async () => {
    gateway.catalog.remove('consumers', () => true)
    expect(told(await send(await sign({ iss: 'bobs' })))).deep.equal(
      refused(403, "Could not find consumer for 'iss=bobs'"),
    )
  })

  it('that is not known for sure is 503', async () => {
    gateway.catalog.onLookup = (key) => {
      if (key === 'jwtauth_credentials:bobs') throw new Unknown(key)
    }
    expect((await send(await sign({ iss: 'bobs' }))).status).equal(503)
    expect(upstream.requests).equal(0)
  })

  describe('whose claims are checked', () => {
    beforeEach(() => configure({ claims_to_verify: ['exp', 'nbf'] }))

    const number = 'must be a number'
    const outcome = async (claims: JsonObject) => told(await send(craft(good, { iss: 'bobs', ...claims })))

    it('is 403 without them, or with what is no number [contract 250, 259]', async () => {
      expect(await outcome({})).deep.equal([403, { exp: number, nbf: number }])
      expect(await outcome({ exp: String(now + 60), nbf: 0 })).deep.equal([403, { exp: number }])
      expect(await outcome({ exp: now + 60, nbf: null })).deep.equal([403, { nbf: number }])
      const endless = craft(good, '{"iss":"bobs","exp":1e999,"nbf":0}')
      expect(told(await send(endless))).deep.equal([403, { exp: number }])
    })

    it('is 403 when it is over, also in this second, or has not begun [contract 251, 259]', async () => {
      expect(await outcome({ exp: now - 1, nbf: 0 })).deep.equal([403, { exp: 'token expired' }])
      expect(await outcome({ exp: now, nbf: now })).deep.equal([403, { exp: 'token expired' }])
      expect(await outcome({ exp: now + 60, nbf: now + 60 })).deep.equal([
        403,
        { nbf: 'token not valid yet' },
      ])
    })

    it('passes until it is over, however often it passed before', async () => {
      const token = craft(good, { iss: 'bobs', exp: now + 60, nbf: now })
      for (let i = 0; i < 3; i++) expect((await send(token)).status).equal(200)
      clock.advance(60_000)
      expect(told(await send(token))).deep.equal([403, { exp: 'token expired' }])
    })

    it('passes in its time; what is not to be checked does not matter', async () => {
      expect((await outcome({ exp: now + 60, nbf: now }))[0]).equal(200)
      configure({ claims_to_verify: ['nbf'] })
      expect((await outcome({ exp: 0, nbf: 0 }))[0]).equal(200)
    })
  })

  describe('that is no token', () => {
    const cases: [text: string, why: string][] = [
      ['x', '1 parts instead of 3'],
      ['a.b.c.d', '4 parts instead of 3'],
      ['..', 'header is not a JSON object'],
      ['!.e30.', 'header is not base64url'],
      ['W10.e30.', 'header is not a JSON object'],
      ['e.e30.', 'header is not base64url'],
      [craft({ ...good, typ: 'JWS' }, {}), 'invalid typ'],
      [craft({ ...good, typ: 5 }, {}), 'invalid typ'],
      [craft({ typ: 'JWT' }, {}), 'invalid alg'],
      [`${encodedPart({ alg: 'none' })}.${encodedPart({ iss: 'bobs' })}.`, 'invalid alg'],
      [craft({ alg: 'hs256' }, {}), 'invalid alg'],
      [craft({ alg: 'constructor' }, {}), 'invalid alg'],
      [craft({ alg: ['HS256'] }, {}), 'invalid alg'],
      [craft({ ...good, crit: ['exp'] }, { iss: 'bobs' }), 'crit is not supported'],
      [craft(good, '{'), 'claims is not a JSON object'],
      [craft(good, '"iss"'), 'claims is not a JSON object'],
      [`${craft(good, { iss: 'bobs' })}=`, 'signature is not base64url'],
    ]
    for (const [text, why] of cases) {
      it(`is 401: ${why} (${text.slice(0, 40)}) [contract 257]`, async () => {
        expect(told(await send(text))).deep.equal(refused(401, `Bad token; ${why}`))
        expect(upstream.requests).equal(0)
      })
    }

    it('is not what bytes that are no UTF-8 say', async () => {
      const claims = Buffer.from('{"iss":"bobs\xff"}', 'latin1').toString('base64url')
      const text = `${encodedPart(good)}.${claims}.x`
      expect((await send(text)).status).equal(401)
    })

    it('is one with any spelling of its type, or without one [contract 257]', async () => {
      for (const header of [{ alg: 'HS256' }, { ...good, typ: 'jwt' }, { ...good, typ: 'Jwt' }])
        expect((await send(craft(header, { iss: 'bobs' }))).status).equal(200)
    })
  })
})
