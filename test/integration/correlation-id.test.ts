import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { correlationId } from '../../src/plugins/correlation-id/correlation-id.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { type Answered, ask } from '../support/raw-http.ts'

const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}'
const byDefault = { header_name: 'Kong-Request-ID', generator: 'uuid#counter', echo_downstream: false }

describe('correlation-id', () => {
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

  const add = (config: JsonObject) => gateway.addPlugin(api, 'correlation-id', { ...byDefault, ...config })
  const get = (...headers: string[]) => ask(gateway.port, '/', { headers: ['Host', 'test', ...headers] })
  const seen = ({ body }: Answered, name = 'kong-request-id') => (JSON.parse(body) as Seen).headers[name]

  it('is a UUID and a count, different for each request, told to upstream and client [contract 444]', async () => {
    add({ echo_downstream: true })
    const replies = [await get(), await get(), await get()]
    const ids = replies.map((reply) => seen(reply) as string)
    for (const id of ids) expect(id).match(new RegExp(`^${uuid}#\\d+$`))
    expect(ids.map((id) => id.split('#')[1])).deep.equal(['1', '2', '3'])
    expect(new Set(ids.map((id) => id.split('#')[0])).size).equal(1)
    expect(replies.map(({ headers }) => headers['kong-request-id'])).deep.equal(ids)
  })

  it('is never the same in two workers', async () => {
    add({})
    const other = await new TestGateway().start()
    const sameApi = other.addApi({ request_host: 'test', upstream_url: upstream.url })
    other.addPlugin(sameApi, 'correlation-id', byDefault)
    const ids = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => seen(await ask((i % 2 ? gateway : other).port, '/'))),
    )
    await other.stop()
    expect(new Set(ids).size).equal(50)
  })

  it('is a UUID alone, in a header of another name, where that is configured [contract 445]', async () => {
    add({ header_name: 'X-My-Id', generator: 'uuid' })
    const ids = [seen(await get(), 'x-my-id'), seen(await get(), 'x-my-id')]
    for (const id of ids) expect(id).match(new RegExp(`^${uuid}$`))
    expect(ids[0]).not.equal(ids[1])
  })

  it('of the client is kept, and echoed [contract 446]', async () => {
    add({ echo_downstream: true })
    const reply = await get('KONG-request-id', 'mine', 'Kong-Request-ID', 'and mine')
    expect(seen(reply)).equal('mine, and mine')
    expect(reply.rawHeaders.filter((_, i, all) => all[i - 1] === 'Kong-Request-ID')).deep.equal([
      'mine',
      'and mine',
    ])
    expect(seen(await get('Kong-Request-ID', ''))).equal('')
  })

  it('is not echoed unless that is configured, and replaces what the upstream says [contract 447]', async () => {
    const row = add({})
    expect((await get()).headers).not.have.property('kong-request-id')
    upstream.answer = (_request, response) => response.writeHead(200, { 'Kong-Request-ID': 'theirs' }).end()
    expect((await get()).headers['kong-request-id']).equal('theirs')
    gateway.catalog.put('plugins', { ...row, config: { ...byDefault, echo_downstream: true } })
    expect((await get()).headers['kong-request-id']).match(/#/)
  })

  it('is not given to a request that an earlier plugin answered, be it the client’s', async () => {
    add({ echo_downstream: true })
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    const reply = await get('Kong-Request-ID', 'mine')
    expect(reply.status).equal(401)
    expect(reply.headers).not.have.property('kong-request-id')
  })

  it('is in the answer when the upstream fails, and in the record', async () => {
    add({ echo_downstream: true })
    gateway.addPlugin(api, 'recorder')
    upstream.answer = (request) => request.socket.destroy()
    const reply = await get()
    expect(reply.status).equal(502)
    const { request } = (await gateway.record()) as { request: { headers: JsonObject } }
    expect(reply.headers['kong-request-id']).match(/#1$/).equal(request.headers['kong-request-id'])
  })

  describe('its configuration', () => {
    const config = (input: JsonObject) =>
      validate({ fields: correlationId.config }, input, { mode: 'create' }, systemRandom)
    const faults = (input: JsonObject) => {
      try {
        config(input)
        return {}
      } catch (error) {
        return (error as { errors: JsonObject }).errors
      }
    }

    it('has a default for everything', () => {
      expect(config({})).deep.equal(byDefault)
    })

    it('refuses other generators, and names that no header can have', () => {
      expect(faults({ generator: 'tracker' })).deep.equal({
        generator: '"tracker" is not allowed. Allowed values are: "uuid", "uuid#counter"',
      })
      for (const header_name of ['X Id', 'X-Id:', 'Ä', 'a\nb'])
        expect(faults({ header_name })).deep.equal({
          header_name: `header_name is not the name of a header: '${header_name}'`,
        })
    })
  })
})
