// udp-log against receivers that are there, away and too small, on real sockets.
import { expect } from 'chai'
import { isObject, type JsonObject, type Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { udpLog } from '../../src/plugins/udp-log/udp-log.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { Datagrams } from '../support/datagrams.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { ask } from '../support/raw-http.ts'

describe('udp-log', () => {
  let upstream: Upstream
  let receiver: Datagrams
  let gateway: TestGateway
  let api: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    receiver = await new Datagrams().start()
    gateway = await new TestGateway().start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  })

  afterEach(async () => {
    await gateway.stop()
    await receiver.stop()
    await upstream.stop()
  })

  const add = (config: JsonObject = {}, to = api) =>
    gateway.addPlugin(to, 'udp-log', { host: '127.0.0.1', port: receiver.port, timeout: 10_000, ...config })
  const call = (path = '/') => ask(gateway.port, path)
  const pathsOf = (texts: readonly string[]) =>
    texts.map((text) => JSON.parse(text).request).map((of) => (isObject(of) ? of.uri : undefined))
  const dropped = () => gateway.lines.flatMap(({ fields }) => (fields.dropped as number | undefined) ?? [])

  it('sends each record as a datagram of JSON, refused requests included [contract 455]', async () => {
    add()
    await call('/get?x=1')
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    await call('/refused')
    const texts = await receiver.first(2)
    expect(texts[0]).match(/^\{.*\}$/)
    expect(JSON.parse(texts[0] as string)).deep.include({ client_ip: '127.0.0.1' })
    expect(JSON.parse(texts[1] as string).response).deep.include({ status: 401 })
    expect(pathsOf(texts)).deep.equal(['/get?x=1', '/refused'])
  })

  it('finds a receiver by its name', async () => {
    add({ host: 'localhost' })
    await call()
    expect(await receiver.first(1)).have.length(1)
  })

  it('a receiver that is away gets what waits, in order, when it is back', async () => {
    const { port } = receiver
    add()
    await receiver.stop()
    // The first is lost: only its way back tells that nobody listens.
    await call('/lost')
    for (let i = 0; !gateway.lines.some(({ sentence }) => /records wait/.test(sentence)); i++)
      await call(`/${i}`)
    expect(gateway.lines[0]?.fields).include({ receiver: `127.0.0.1:${port}` })
    expect(String(gateway.lines[0]?.fields.error)).match(/ECONNREFUSED/)
    await call('/last')
    receiver = await new Datagrams().start(port)
    await until(() => pathsOf(receiver.all).includes('/last'))
    const numbers = pathsOf(receiver.all)
      .slice(0, -1)
      .map((path) => Number(String(path).slice(1)))
    expect(numbers).deep.equal(numbers.toSorted((a, b) => a - b))
    expect(dropped()).deep.equal([])
  })

  it('a name that nobody has holds up no traffic, and is said', async () => {
    add({ host: 'no-such-host.invalid' })
    expect((await call()).status).equal(200)
    await until(() => gateway.lines.length > 0)
    expect(gateway.lines[0]?.sentence).match(/records wait/)
  })

  it('a record that is too long for a datagram is dropped and counted, and no other one', async () => {
    add()
    await call('/first')
    await receiver.first(1)
    add({}, gateway.addApi({ request_host: 'long', name: 'x'.repeat(70_000), upstream_url: upstream.url }))
    await ask(gateway.port, '/long', { headers: ['Host', 'long'] })
    await call('/after')
    expect(pathsOf(await receiver.first(2))).deep.equal(['/first', '/after'])
    await until(() => dropped().length > 0)
    expect(dropped()).deep.equal([1])
    expect(String(gateway.lines[0]?.fields.error)).match(/EMSGSIZE/)
  })

  it('stop sends what is left', async () => {
    add()
    await Promise.all(Array.from({ length: 40 }, (_, i) => call(`/${i}`)))
    await gateway.stop()
    expect(new Set(pathsOf(await receiver.first(40))).size).equal(40)
    await gateway.start()
  })

  it('needs host and port in its configuration', () => {
    const config = (input: JsonObject) =>
      validate({ fields: udpLog.config }, input, { mode: 'create' }, systemRandom)
    expect(config({ host: 'a', port: '514' })).deep.equal({ host: 'a', port: 514, timeout: 10_000 })
    expect(() => config({ host: 'a', port: 0 })).throw()
    expect(() => config({})).throw()
  })
})
