import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { cors } from '../../src/plugins/cors/cors.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { type Answered, ask } from '../support/raw-http.ts'

const full = {
  origin: 'example.com',
  methods: ['GET', 'PATCH'],
  headers: ['origin', 'type', 'accepts'],
  exposed_headers: ['x-auth-token', 'x-trace'],
  max_age: 23,
  credentials: true,
}

describe('cors', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const add = (config: JsonObject) =>
    gateway.addPlugin(api, 'cors', { credentials: false, preflight_continue: false, ...config })
  const send = (method: string, ...headers: string[]) =>
    ask(gateway.port, '/', { method, headers: ['Host', 'test', ...headers] })
  /** What concerns browsers, by lower-case name. */
  const told = ({ headers }: Answered) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => /^access-control-|^vary$/.test(name)))

  it('any origin and method is allowed where nothing is configured [contract 380]', async () => {
    add({})
    const answered = await send('OPTIONS')
    expect([answered.status, answered.body]).deep.equal([204, ''])
    expect(told(answered)).deep.equal({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE',
    })
    expect(answered.headers).not.have.any.keys('content-type', 'content-length', 'transfer-encoding')
    expect(upstream.requests).equal(0)
  })

  it('a preflight is told what is configured, and nothing of exposed headers [contract 381]', async () => {
    add(full)
    const answered = await send('OPTIONS', 'Access-Control-Request-Headers', 'other')
    expect(answered.status).equal(204)
    expect(told(answered)).deep.equal({
      'access-control-allow-origin': 'example.com',
      'access-control-allow-methods': 'GET,PATCH',
      'access-control-allow-headers': 'origin,type,accepts',
      'access-control-max-age': '23',
      'access-control-allow-credentials': 'true',
      vary: 'Origin',
    })
  })

  it('a preflight may set the headers that it asks for where none are configured', async () => {
    add({ headers: [], methods: [] })
    const answered = await send('OPTIONS', 'Access-Control-Request-Headers', 'x-a, x-b')
    expect(told(answered)).include({
      'access-control-allow-headers': 'x-a, x-b',
      'access-control-allow-methods': 'GET,HEAD,PUT,PATCH,POST,DELETE',
    })
  })

  /** An upstream with a mind of its own. */
  const opinionated = () => {
    upstream.answer = (request, response) =>
      response
        .writeHead(200, {
          ...{ 'Access-Control-Allow-Origin': 'upstream', 'Access-Control-Allow-Methods': 'HEAD' },
          ...{ 'Access-Control-Expose-Headers': 'x-upstream', Vary: 'Accept' },
        })
        .end(request.method)
  }

  it('preflight_continue leaves a preflight to the upstream, and nothing else [contract 382]', async () => {
    opinionated()
    add({ ...full, preflight_continue: true })
    const preflight = await send('OPTIONS')
    expect([preflight.status, preflight.body]).deep.equal([200, 'OPTIONS'])
    expect(told(preflight)).deep.equal({
      'access-control-allow-origin': 'upstream',
      'access-control-allow-methods': 'HEAD',
      'access-control-expose-headers': 'x-upstream',
      vary: 'Accept',
    })
    expect(told(await send('GET'))).deep.equal({
      'access-control-allow-origin': 'example.com',
      'access-control-allow-methods': 'HEAD',
      'access-control-expose-headers': 'x-auth-token,x-trace',
      'access-control-allow-credentials': 'true',
      vary: 'Origin',
    })
  })

  it('else the upstream sees no preflight, and what it says of origins gives way [contract 383]', async () => {
    add(full)
    expect((await send('OPTIONS')).status).equal(204)
    expect(upstream.requests).equal(0)
    const silent = await send('POST')
    opinionated()
    const spoken = await send('POST')
    for (const answered of [silent, spoken]) {
      expect(answered.status).equal(200)
      expect(told(answered)).include({
        'access-control-allow-origin': 'example.com',
        'access-control-expose-headers': 'x-auth-token,x-trace',
        vary: 'Origin',
      })
    }
  })

  it('other requests are told the origin alone where nothing is configured [contract 384]', async () => {
    add({})
    expect(told(await send('GET'))).deep.equal({ 'access-control-allow-origin': '*' })
  })

  it('other requests are told origin, exposed headers and credentials of what is configured [contract 385]', async () => {
    add(full)
    expect(told(await send('GET'))).deep.equal({
      'access-control-allow-origin': 'example.com',
      'access-control-expose-headers': 'x-auth-token,x-trace',
      'access-control-allow-credentials': 'true',
      vary: 'Origin',
    })
  })

  it('a page may read refusals and failures too, and a preflight needs no key', async () => {
    add({ origin: 'example.com' })
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    const refused = await send('GET')
    expect(refused.status).equal(401)
    expect(told(refused)).include({ 'access-control-allow-origin': 'example.com' })
    expect((await send('OPTIONS')).status).equal(204)
  })

  it('what could not stand in a header is refused when it is written, and so is a method that is none', () => {
    const check = (config: JsonObject) =>
      validate({ fields: cors.config }, config, { mode: 'create' }, systemRandom)
    expect(() => check({ ...full })).not.throw()
    for (const wrong of [{ origin: 'a\nb' }, { headers: ['a b'] }, { exposed_headers: [''] }]) {
      expect(() => check(wrong), JSON.stringify(wrong)).throw('header')
    }
    expect(() => check({ methods: ['OPTIONS'] })).throw('"OPTIONS" is not allowed. Allowed values are:')
  })
})
