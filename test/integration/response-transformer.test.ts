import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { type Answered, ask } from '../support/raw-http.ts'

const json = { 'Content-Type': 'application/json' }

describe('response-transformer', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let row: Row
  /** What the upstream was asked with. */
  let asked: Record<string, string | string[] | undefined>

  before(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    row = gateway.addPlugin(api, 'response-transformer')
  })
  after(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const configure = (config: JsonObject) => gateway.catalog.put('plugins', { ...row, config })
  const answers = (headers: Record<string, string | string[]>, body: string | Buffer = '') => {
    upstream.answer = (request, response) => {
      asked = request.headers
      response.writeHead(200, { 'Content-Length': String(Buffer.byteLength(body)), ...headers }).end(body)
    }
  }
  const get = (...headers: string[]) => ask(gateway.port, '/', { headers: ['Host', 'test', ...headers] })
  /** What becomes of a JSON body, with its length held against what is said of it. */
  const bodyOf = async (body: string, type = 'application/json') => {
    answers({ 'Content-Type': type }, body)
    const answered = await get()
    expect(answered.status).equal(200)
    expect(answered.headers['content-length']).equal(String(Buffer.byteLength(answered.body)))
    return answered.body
  }
  /** The values of one header, as they came. */
  const values = ({ rawHeaders }: Answered, name: string) =>
    rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name)

  it('takes a member of JSON away, and a header [contract 436]', async () => {
    configure({ remove: { json: ['params'], headers: ['x-powered-by'] } })
    answers({ ...json, 'X-Powered-By': 'x', 'X-Kept': '1' }, '{"url":"/get","params":{"a":[1]}}')
    const answered = await get()
    expect(answered.body).equal('{"url":"/get"}')
    expect(answered.headers).include({ 'x-kept': '1' }).not.have.property('x-powered-by')
  })

  it('takes what stands after the first colon as text, slashes and quotes included [contract 437]', async () => {
    configure({ replace: { json: ['a:/hello/world', 'b:this is a / test', 'c:"quoted": yes'] } })
    expect(await bodyOf('{"a":1,"b":"x","c":null}')).equal(
      '{"a":"/hello/world","b":"this is a / test","c":"\\"quoted\\": yes"}',
    )
  })

  it('changes all of a body of a megabyte [contract 438]', async () => {
    configure({ add: { json: ['new:v'] }, remove: { json: ['old'] } })
    const member = `"big":"${'x'.repeat(1024 * 1024)}"`
    expect(await bodyOf(`{"old":1,${member}}`)).equal(`{${member},"new":"v"}`)
  })

  it('adds, appends, removes and replaces members, in their order [contract 439]', async () => {
    configure({ add: { json: ['p1:v1', 'p2:"v2"'] } })
    expect(await bodyOf('{"p1":0}')).equal('{"p1":0,"p2":"\\"v2\\""}')
    configure({ append: { json: ['p1:v1', 'p3:"v3"'] } })
    expect(await bodyOf('{"p1":7,"p2":[]}')).equal('{"p1":[7,"v1"],"p2":[],"p3":["\\"v3\\""]}')
    configure({ remove: { json: ['p1'] } })
    expect(await bodyOf('{"p1":"v1"}')).equal('{}')
    configure({ replace: { json: ['p1:v2', 'p9:v2'] } })
    expect(await bodyOf('{"p1":[1], "p2":12345678901234567890}')).equal(
      '{"p1":"v2","p2":12345678901234567890}',
    )
    configure({
      ...{ remove: { json: ['p1'] }, replace: { json: ['p1:no', 'p2:v2'] } },
      ...{ add: { json: ['p1:v1', 'p2:no'] }, append: { json: ['p1:v3'] } },
    })
    expect(await bodyOf('{"p1":"v0","p2":"v0"}')).equal('{"p2":"v2","p1":["v1","v3"]}')
  })

  it('knows JSON by its type, also with a charset or among others, in any case [contract 440]', async () => {
    configure({ remove: { json: ['a'] } })
    for (const type of [
      'application/json',
      'application/json; charset=utf-8',
      'application/problem; application/json',
      'Application/JSON',
    ]) {
      expect(await bodyOf('{"a":1}', type), type).equal('{}')
    }
    for (const type of ['text/plain', 'application/x-json', 'application/hal+json']) {
      expect(await bodyOf('{"a":1}', type), type).equal('{"a":1}')
    }
    expect(await bodyOf('{"a":1', 'application/json')).equal('{"a":1')
  })

  it('removes, replaces, adds and appends headers, in their order [contract 441]', async () => {
    const theirs = { H1: 'v1', H2: ['a', 'b'], H4: 'v4' }
    answers(theirs)
    configure({ remove: { headers: ['h1', 'h2'] } })
    expect((await get()).headers)
      .include({ h4: 'v4' })
      .not.have.any.keys('h1', 'h2')
    configure({ replace: { headers: ['h2:x:y', 'h3:no'] } })
    const replaced = await get()
    expect(values(replaced, 'h2')).deep.equal(['x:y'])
    expect(replaced.headers).not.have.property('h3')
    configure({ add: { headers: ['h1:no', 'h3:v3'] } })
    expect((await get()).headers).include({ h1: 'v1', h3: 'v3' })
    configure({ append: { headers: ['h2:c', 'h3:v3'] } })
    const appended = await get()
    expect([values(appended, 'h2'), values(appended, 'h3')]).deep.equal([['a', 'b', 'c'], ['v3']])
    configure({
      ...{ remove: { headers: ['h1'] }, replace: { headers: ['h1:no', 'h4:v5'] } },
      ...{ add: { headers: ['h1:v2', 'h4:no'] }, append: { headers: ['h1:v3'] } },
    })
    const all = await get()
    expect([values(all, 'h1'), values(all, 'h4')]).deep.equal([['v2', 'v3'], ['v5']])
  })

  it('tells another length only where JSON is to be changed and the body is JSON [contract 442]', async () => {
    const body = '{ "a": 1 }'
    const told = async (type: string) => {
      answers({ 'Content-Type': type }, body)
      const { headers } = await ask(gateway.port, '/', { method: 'HEAD' })
      return headers['content-length']
    }
    for (const change of [
      { remove: { json: ['a'] } },
      { replace: { json: ['a:b'] } },
      { add: { json: ['b:c'] } },
      { append: { json: ['a:b'] } },
    ]) {
      configure(change)
      expect([await told('application/json'), await told('text/plain')]).deep.equal([undefined, '10'])
      expect(await bodyOf(body)).not.equal(body)
    }
    configure({ remove: { json: [], headers: ['a'] } })
    expect(await told('application/json')).equal('10')
  })

  it('leaves a body as it came where nothing of JSON is to be changed, or is there [contract 443]', async () => {
    const body = '{ "a" : 1.0 , "a" : "\\u00e9" }\n'
    configure({ remove: { headers: ['h1'] } })
    expect(await bodyOf(body)).equal(body)
    configure({ remove: { json: ['b'] }, replace: { json: ['b:c'] } })
    expect(await bodyOf(body)).equal(body)
    expect(await bodyOf('')).equal('')
  })

  it('changes what is coded, and asks for no coding that it can’t read, nor for parts', async () => {
    configure({ remove: { json: ['a'] } })
    answers(
      { ...json, 'Content-Encoding': 'gzip', 'Content-Length': String(gzipSync('{"a":1}').length) },
      gzipSync('{"a":1}'),
    )
    const answered = await get('Accept-Encoding', 'dcz, GZIP;q=0.5, br', 'Range', 'bytes=0-3')
    expect(answered.body).equal('{}')
    expect(answered.headers).not.have.property('content-encoding')
    expect(asked).include({ 'accept-encoding': 'GZIP;q=0.5, br' }).not.have.property('range')
    await get('Accept-Encoding', '*')
    expect(asked).include({ 'accept-encoding': 'identity' })
    configure({ remove: { headers: ['a'] } })
    await get('Accept-Encoding', '*', 'Range', 'bytes=0-3')
    expect(asked).include({ 'accept-encoding': '*', range: 'bytes=0-3' })
  })

  it('bodies that are not to be changed pass piece by piece', async () => {
    configure({ remove: { json: ['a'] } })
    const goOn = Promise.withResolvers<void>()
    upstream.answer = async (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n')
      await goOn.promise
      response.end('data: 2\n\n')
    }
    const response = await fetch(`http://127.0.0.1:${gateway.port}/`, {
      headers: { 'X-Host-Override': 'test' },
    })
    const reader = response.body?.getReader()
    const first = await reader?.read()
    expect(Buffer.from(first?.value ?? []).toString()).equal('data: 1\n\n')
    goOn.resolve()
    await reader?.cancel()
  })
})
