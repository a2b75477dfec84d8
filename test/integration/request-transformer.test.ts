import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { requestTransformer } from '../../src/plugins/request-transformer/request-transformer.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { ask } from '../support/raw-http.ts'

const form = 'application/x-www-form-urlencoded'
const json = 'application/json'
const multipart = 'multipart/form-data; boundary=xyz'

/** A multipart body with these parts. */
const partsOf = (values: Record<string, string>) =>
  `${Object.entries(values)
    .map(([name, value]) => `--xyz\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
    .join('')}--xyz--\r\n`

describe('request-transformer', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let row: Row

  before(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway({ heldBytesMax: 100_000 }).start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url, preserve_host: true })
    row = gateway.addPlugin(api, 'request-transformer')
  })
  after(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const configure = (config: JsonObject) => gateway.catalog.put('plugins', { ...row, config })
  const send = async (target: string, headers: readonly string[] = [], body?: string | Buffer) => {
    const method = body === undefined ? 'GET' : 'POST'
    const answered = await ask(gateway.port, target, {
      method,
      headers: ['Host', 'test', ...headers],
      ...(body !== undefined && { body }),
    })
    expect(answered.status, answered.body).equal(200)
    return JSON.parse(answered.body) as Seen
  }
  const headersOf = async (...headers: string[]) => (await send('/', headers)).headers
  const queryOf = async (query: string) => (await send(`/get?${query}`)).url
  /** What becomes of a body, with its length held against what is said of it. */
  const bodyOf = async (type: string, body: string) => {
    const seen = await send('/', ['Content-Type', type], body)
    expect(seen.headers['content-length']).equal(String(Buffer.byteLength(seen.body)))
    return seen.body
  }

  describe('remove', () => {
    it('takes a header away, whatever its case, and leaves the others [contract 392]', async () => {
      configure({ remove: { headers: ['x-to-remove'] } })
      const headers = await headersOf('X-To-Remove', 'a', 'X-Kept', 'b', 'x-to-remove', 'c')
      expect(headers).include({ 'x-kept': 'b' }).not.have.property('x-to-remove')
    })

    it('takes a parameter of a form away, and leaves the others byte for byte [contract 393]', async () => {
      configure({ remove: { body: ['toremoveform', 'a b'] } })
      expect(await bodyOf(form, 'toremoveform=yes&nottoremove=y%65s&a+b=1&toremoveform=2')).equal(
        'nottoremove=y%65s',
      )
    })

    it('takes a member of JSON away, and leaves the others to the last digit [contract 394]', async () => {
      configure({ remove: { body: ['toremove'] } })
      const body =
        '{"toremove":{"a":[1,"}"]}, "kept" : 12345678901234567890, "toremove":2,"list":[1.0,{"toremove":1}]}'
      expect(await bodyOf(json, body)).equal('{"kept":12345678901234567890,"list":[1.0,{"toremove":1}]}')
    })

    it('leaves alone what is no JSON object [contract 395]', async () => {
      configure({ remove: { body: ['toremove'] } })
      for (const body of ['malformed json body', '{"toremove":1', '[1]', '"toremove"', 'null']) {
        expect(await bodyOf(json, body)).equal(body)
      }
    })

    it('leaves an empty JSON object as it is [contract 396]', async () => {
      configure({ remove: { body: ['toremove'] } })
      const { body, headers } = await send('/', ['Content-Type', json], '{}')
      expect([body, headers['content-length']]).deep.equal(['{}', '2'])
    })

    it('leaves an empty form as it is [contract 397]', async () => {
      configure({ remove: { body: ['toremove'] } })
      const { body, headers } = await send('/', ['Content-Type', form], '')
      expect([body, headers['content-length']]).deep.equal(['', '0'])
      expect(await bodyOf(form, 'toremove=1')).equal('')
    })

    it('takes a part of a multipart form away, and leaves the others [contract 398]', async () => {
      configure({ remove: { body: ['toremove'] } })
      // Within it, a line that only begins like a boundary.
      const kept = 'no\r\n--xyzzy\r\nContent-Disposition: form-data; name="toremove"\r\n\r\nx'
      const body = partsOf({ toremove: 'yes', kept })
      expect(await bodyOf(multipart, body)).equal(partsOf({ kept }))
    })

    it('takes a parameter of the query string away, and leaves the others byte for byte [contract 399]', async () => {
      configure({ remove: { querystring: ['q1'] } })
      const { url, body } = await send('/get?q1=v1&q2=%76&q1=v3', ['Content-Type', form], 'q1=a')
      expect([url, body]).deep.equal(['/get?q2=%76', 'q1=a'])
      expect(await queryOf('q1')).equal('/get')
    })
  })

  describe('replace', () => {
    it('gives a header another value, and leaves the others [contract 400]', async () => {
      configure({ replace: { headers: ['h1:v:2'] } })
      expect(await headersOf('H1', 'a', 'H2', 'b', 'h1', 'c')).include({ h1: 'v:2', h2: 'b' })
    })

    it('makes no header that was not there [contract 401]', async () => {
      configure({ replace: { headers: ['h1:v2'] } })
      expect(await headersOf('h2', 'a')).not.have.property('h1')
    })

    it('gives a parameter of a form another value [contract 402]', async () => {
      configure({ replace: { body: ['p1:v 1&'] } })
      expect(await bodyOf(form, 'p0=x&p1=v&p2=v1&p1=w')).equal('p0=x&p1=v%201%26&p2=v1')
    })

    it('makes no parameter of a form [contract 403]', async () => {
      configure({ replace: { body: ['p1:v1'] } })
      expect(await bodyOf(form, 'p2=v1')).equal('p2=v1')
    })

    it('gives a member of JSON another value [contract 404]', async () => {
      configure({ replace: { body: ['p1:v"1'] } })
      expect(await bodyOf(json, '{"p1": "v", "p2": "v1", "p1": 2}')).equal('{"p1":"v\\"1","p2":"v1"}')
    })

    it('leaves alone what is no JSON [contract 405]', async () => {
      configure({ replace: { body: ['p1:v1'] } })
      expect(await bodyOf(json, 'malformed json body')).equal('malformed json body')
    })

    it('makes no member of JSON [contract 406]', async () => {
      configure({ replace: { body: ['p1:v1'] } })
      expect(await bodyOf(json, '{"p2" : "v1"}')).equal('{"p2" : "v1"}')
    })

    it('gives a part another value [contract 407]', async () => {
      configure({ replace: { body: ['p1:v1'] } })
      expect(await bodyOf(multipart, partsOf({ p1: 'v', p2: 'v1' }))).equal(partsOf({ p1: 'v1', p2: 'v1' }))
    })

    it('makes no part [contract 408]', async () => {
      configure({ replace: { body: ['p1:v1'] } })
      expect(await bodyOf(multipart, partsOf({ p2: 'v1' }))).equal(partsOf({ p2: 'v1' }))
    })

    it('gives a parameter of the query string another value [contract 409]', async () => {
      configure({ replace: { querystring: ['q1:v2'] } })
      expect(await queryOf('q0=a&q1=v1&q1=v3&q2=b')).equal('/get?q0=a&q1=v2&q2=b')
    })

    it('makes no parameter of the query string [contract 410]', async () => {
      configure({ replace: { querystring: ['q1:v2'] } })
      expect(await queryOf('q2=v1')).equal('/get?q2=v1')
    })
  })

  describe('add', () => {
    it('makes headers that were not there [contract 411]', async () => {
      configure({ add: { headers: ['h1:v1', 'h2:v2'] } })
      expect(await headersOf()).include({ h1: 'v1', h2: 'v2' })
    })

    it('leaves a header that is there [contract 412]', async () => {
      configure({ add: { headers: ['h1:v1', 'h2:v2'] } })
      expect(await headersOf('H1', 'v3')).include({ h1: 'v3', h2: 'v2' })
    })

    it('makes a parameter of a form that was not there [contract 413]', async () => {
      configure({ add: { body: ['p1:v1', 'p2:v2'] } })
      expect(await bodyOf(form, 'p2=a')).equal('p2=a&p1=v1')
    })

    it('makes a member of JSON that was not there, also where there was nothing [contract 414]', async () => {
      configure({ add: { body: ['p1:v1', 'p2:v2'] } })
      expect(await bodyOf(json, '{"p2":1}')).equal('{"p2":1,"p1":"v1"}')
      expect(await bodyOf(json, '{}')).equal('{"p1":"v1","p2":"v2"}')
      expect(await bodyOf(json, '')).equal('{"p1":"v1","p2":"v2"}')
    })

    it('leaves alone what is no JSON [contract 415]', async () => {
      configure({ add: { body: ['p1:v1'] } })
      expect(await bodyOf(json, 'malformed json body')).equal('malformed json body')
    })

    it('makes a part that was not there, of a multipart form with parts, without, and of nothing [contract 416]', async () => {
      configure({ add: { body: ['p1:v1'] } })
      expect(await bodyOf(multipart, partsOf({ p2: 'a' }))).equal(partsOf({ p2: 'a', p1: 'v1' }))
      expect(await bodyOf(multipart, partsOf({ p1: 'a' }))).equal(partsOf({ p1: 'a' }))
      expect(await bodyOf(multipart, '--xyz--\r\n')).equal(partsOf({ p1: 'v1' }))
      expect(await bodyOf(multipart, '')).equal(partsOf({ p1: 'v1' }))
    })

    it('makes a parameter of the query string that was not there [contract 417]', async () => {
      configure({ add: { querystring: ['q1:v1'] } })
      expect(await queryOf('q2=v2')).equal('/get?q2=v2&q1=v1')
      expect((await send('/get')).url).equal('/get?q1=v1')
    })

    it('leaves a parameter of the query string that is there [contract 418]', async () => {
      configure({ add: { querystring: ['q1:v1'] } })
      expect(await queryOf('q1=v2')).equal('/get?q1=v2')
      expect(await queryOf('q1')).equal('/get?q1')
    })

    it('leaves the host, which is always there [contract 419]', async () => {
      configure({ add: { headers: ['host:other.com'] }, remove: { headers: ['host'] } })
      expect((await headersOf()).host).equal('test')
    })
  })

  describe('append', () => {
    it('makes a header that was not there [contract 420]', async () => {
      configure({ append: { headers: ['h1:v1'] } })
      expect(await headersOf()).include({ h1: 'v1' })
    })

    it('gives a header several values [contract 421]', async () => {
      configure({ append: { headers: ['h1:v1', 'h1:v2'] } })
      expect(await headersOf()).include({ h1: 'v1, v2' })
      expect(await headersOf('h1', 'v0')).include({ h1: 'v0, v1, v2' })
    })

    it('makes a parameter of the query string that was not there [contract 422]', async () => {
      configure({ append: { querystring: ['q1:v1'] } })
      expect(await queryOf('q2=a')).equal('/get?q2=a&q1=v1')
    })

    it('gives a parameter of the query string several values [contract 423]', async () => {
      configure({ append: { querystring: ['q1:v1', 'q1:v2'] } })
      expect(await queryOf('q2=a')).equal('/get?q2=a&q1=v1&q1=v2')
    })

    it('makes a parameter of a form that was not there [contract 424]', async () => {
      configure({ append: { body: ['p1:v1', 'p1:v2'] } })
      expect(await bodyOf(form, 'p2=a')).equal('p2=a&p1=v1&p1=v2')
    })

    it('gives a parameter of a form more values [contract 425]', async () => {
      configure({ append: { body: ['p1:v1', 'p1:v2'] } })
      expect(await bodyOf(form, 'p1=v0')).equal('p1=v0&p1=v1&p1=v2')
    })

    it('makes a list of a member of JSON, whatever it was [contract 426]', async () => {
      configure({ append: { body: ['p1:v1', 'p1:v2'] } })
      expect(await bodyOf(json, '{}')).equal('{"p1":["v1","v2"]}')
      expect(await bodyOf(json, '{"p1":1.50}')).equal('{"p1":[1.50,"v1","v2"]}')
      expect(await bodyOf(json, '{"p1":[]}')).equal('{"p1":["v1","v2"]}')
      expect(await bodyOf(json, '{"p1":[{"a":1} ]}')).equal('{"p1":[{"a":1} ,"v1","v2"]}')
      expect(await bodyOf(json, 'malformed json body')).equal('malformed json body')
    })

    it('does nothing to a multipart form [contract 427]', async () => {
      configure({ append: { body: ['p1:v1'] } })
      expect(await bodyOf(multipart, partsOf({ p1: 'a' }))).equal(partsOf({ p1: 'a' }))
    })
  })

  describe('all together, in order', () => {
    beforeEach(() =>
      configure({
        remove: { headers: ['h1'], querystring: ['q1'], body: ['b1'] },
        replace: { headers: ['h2:v3', 'h1:no'], querystring: ['q2:v3', 'q1:no'], body: ['b2:v3'] },
        add: { headers: ['h3:v3', 'h2:no'], querystring: ['q3:v3', 'q2:no'], body: ['b3:v3'] },
        append: { headers: ['h3:v4'], querystring: ['q3:v4'], body: ['b3:v4'] },
      }),
    )

    it('headers [contract 428-431]', async () => {
      const headers = await headersOf('h1', 'v1', 'h2', 'v2', 'hx', '1')
      expect(headers).include({ h2: 'v3', h3: 'v3, v4', hx: '1' }).not.have.property('h1')
      const others = await headersOf('h3', 'v0')
      expect(others).include({ h2: 'no', h3: 'v0, v4' })
    })

    it('the query string [contract 432-435]', async () => {
      expect(await queryOf('q1=v1&q2=v2&qx=1')).equal('/get?q2=v3&qx=1&q3=v3&q3=v4')
      expect(await queryOf('q3=v0')).equal('/get?q3=v0&q2=no&q3=v4')
    })

    it('the body', async () => {
      expect(await bodyOf(form, 'b1=1&b2=2&bx=x')).equal('b2=v3&bx=x&b3=v3&b3=v4')
      expect(await bodyOf(json, '{"b1":1,"b2":2,"bx":3}')).equal('{"b2":"v3","bx":3,"b3":["v3","v4"]}')
    })
  })

  it('replace and append give the upstream another Host', async () => {
    configure({ replace: { headers: ['Host:one.com'] } })
    expect((await headersOf()).host).equal('one.com')
    configure({ append: { headers: ['host:two.com'] } })
    expect((await headersOf()).host).equal('two.com')
  })

  it('bodies of other types, and coded ones, pass as they came, however large', async () => {
    configure({ remove: { body: ['p1'] } })
    expect(await bodyOf('text/plain', 'p1=1')).equal('p1=1')
    const large = 'p1=1&'.repeat(30_000)
    expect(await bodyOf('text/plain', large)).equal(large)
    expect((await send('/', ['Content-Type', form, 'Content-Encoding', 'gzip'], 'p1=1')).body).equal('p1=1')
  })

  it('a body that is too large to be held is refused, not let through', async () => {
    configure({ remove: { body: ['p1'] } })
    const headers = ['Host', 'test', 'Content-Type', form]
    const { status } = await ask(gateway.port, '/', { method: 'POST', headers, body: 'p1=1&'.repeat(30_000) })
    expect(status).equal(413)
  })

  it('text beyond ASCII goes as UTF-8', async () => {
    configure({ add: { headers: ['h1:ü'], querystring: ['ü:ü'], body: ['ü:ü'] } })
    expect(Buffer.from((await headersOf()).h1 as string, 'latin1').toString()).equal('ü')
    expect((await send('/get')).url).equal('/get?%C3%BC=%C3%BC')
    expect(await bodyOf(json, '{}')).equal('{"ü":"ü"}')
    expect(await bodyOf(multipart, '')).equal(partsOf({ ü: 'ü' }))
  })

  it('what is no pair, no header, or would break the framing is refused when it is written', () => {
    const check = (config: JsonObject) =>
      validate({ fields: requestTransformer.config }, config, { mode: 'create' }, systemRandom)
    const none = { headers: [], querystring: [], body: [] }
    expect(check({})).deep.equal({ remove: none, replace: none, add: none, append: none })
    expect(() => check({ add: { body: 'a' } })).throw("body: expected name:value, got 'a'")
    expect(() => check({ replace: { querystring: [':a'] } })).throw(
      "querystring: expected name:value, got ':a'",
    )
    expect(() => check({ append: { headers: ['a b:c'] } })).throw("headers: 'a b:c' cannot be a header")
    expect(() => check({ add: { headers: ['a:b\nc'] } })).throw('cannot be a header')
    expect(() => check({ add: { headers: ['Content-Length:5'] } })).throw(
      'Content-Length is what the gateway finds out',
    )
    expect(() => check({ add: { headers: ['a:b:c'] }, remove: { headers: ['content-length'] } })).not.throw()
  })
})
