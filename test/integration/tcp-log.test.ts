// tcp-log against receivers that are good, slow, away, hanging and rude, on real sockets.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import { isObject, type JsonObject, type Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { tcpLog } from '../../src/plugins/tcp-log/tcp-log.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { ask } from '../support/raw-http.ts'

const times = { timeout: 10_000, keepalive: 60_000 }

/** Keeps what it is sent, by connection. */
class Receiver {
  readonly sockets: Socket[] = []
  readonly texts: string[] = []
  ended = 0
  /** Told each connection first. */
  onConnection: (socket: Socket) => void = () => {}
  #server: Server | undefined

  async start(port = 0): Promise<this> {
    this.#server = createServer((socket) => this.#take(socket)).listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get port(): number {
    const server = this.#server as Server
    return (server.address() as AddressInfo).port
  }

  /** All lines that are whole. */
  get records(): JsonObject[] {
    return this.texts.flatMap((text) => text.split('\r\n').slice(0, -1)).map((line) => JSON.parse(line))
  }

  async stop(): Promise<void> {
    const server = this.#server as Server
    if (!server.listening) return
    server.close()
    for (const socket of this.sockets) socket.destroy()
    await once(server, 'close')
  }

  #take(socket: Socket): void {
    const i = this.sockets.push(socket) - 1
    this.texts[i] = ''
    socket.on('error', () => {})
    socket.on('end', () => {
      this.ended++
    })
    socket.on('data', (chunk) => {
      this.texts[i] += String(chunk)
    })
    this.onConnection(socket)
  }
}

describe('tcp-log', () => {
  let upstream: Upstream
  let receiver: Receiver
  let gateway: TestGateway
  let api: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    receiver = await new Receiver().start()
    gateway = await new TestGateway().start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  })

  afterEach(async () => {
    await gateway.stop()
    await receiver.stop()
    await upstream.stop()
  })

  const add = (config: JsonObject = {}, to = api) =>
    gateway.addPlugin(to, 'tcp-log', { host: '127.0.0.1', port: receiver.port, ...times, ...config })
  const call = (path = '/', ...headers: string[]) =>
    ask(gateway.port, path, { headers: ['Host', 'test', ...headers] })
  const paths = () => receiver.records.map(({ request }) => (isObject(request) ? request.uri : undefined))
  const dropped = () => gateway.lines.flatMap(({ fields }) => (fields.dropped as number | undefined) ?? [])

  it('sends each record as a line of JSON, refused requests included [contract 455]', async () => {
    add()
    await call('/get?x=1')
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    await call('/refused')
    await until(() => receiver.records.length === 2)
    expect(receiver.texts).have.length(1)
    expect(receiver.texts[0]).match(/^\{[^\r\n]*\}\r\n\{[^\r\n]*\}\r\n$/)
    expect(receiver.records[0]).deep.include({ client_ip: '127.0.0.1' })
    expect(receiver.records[1]?.response).deep.include({ status: 401 })
    expect(paths()).deep.equal(['/get?x=1', '/refused'])
  })

  it('has one connection to a receiver, however many APIs and requests', async () => {
    const other = gateway.addApi({ request_host: 'other', upstream_url: upstream.url })
    add()
    add({}, other)
    const calls = Array.from({ length: 100 }, (_, i) =>
      ask(gateway.port, `/${i}`, { headers: ['Host', i % 2 ? 'test' : 'other'] }),
    )
    await Promise.all(calls)
    await until(() => receiver.records.length === 100)
    expect(receiver.sockets.length).equal(1)
    expect(new Set(paths()).size).equal(100)
  })

  it('opens another when the receiver closed it, and nothing is lost in between', async () => {
    add()
    for (let i = 0; i < 5; i++) {
      await call(`/${i}`)
      await until(() => receiver.records.length === i + 1)
      receiver.sockets.at(-1)?.end()
      await until(() => receiver.ended === i + 1)
    }
    expect(receiver.sockets.length).equal(5)
    expect(paths()).deep.equal(['/0', '/1', '/2', '/3', '/4'])
    expect(dropped()).deep.equal([])
  })

  it('goes on with the next record after a receiver broke off in the middle', async () => {
    add()
    receiver.onConnection = (socket) => socket.once('data', () => socket.resetAndDestroy())
    for (let i = 0; i < 10; i++) await call(`/lost-${i}`)
    receiver.onConnection = () => {}
    await until(async () => {
      await call('/kept')
      return paths().includes('/kept')
    })
  })

  it('closes a connection that nothing was sent on for as long as keepalive says', async () => {
    add({ keepalive: 50 })
    for (const times of [1, 2]) {
      await call()
      await until(() => receiver.ended === times)
    }
    expect(receiver.records.length).equal(2)
  })

  it('one that is away gets all when it is back, in order', async () => {
    const { port } = receiver
    add()
    await receiver.stop()
    for (let i = 0; i < 5; i++) await call(`/${i}`)
    await until(() => gateway.lines.length > 0)
    expect(gateway.lines[0]?.sentence).match(/records wait/)
    expect(gateway.lines[0]?.fields).include({ receiver: `127.0.0.1:${port}` })
    receiver = await new Receiver().start(port)
    await until(() => receiver.records.length === 5)
    expect(paths()).deep.equal(['/0', '/1', '/2', '/3', '/4'])
    expect(dropped()).deep.equal([])
  })

  it('one that does not read holds up no traffic, and costs what it was sent', async () => {
    add({ timeout: 100 })
    receiver.onConnection = (socket) => socket.pause()
    // More than the system keeps for a connection: some of it has to wait here.
    const padding = ['X-Padding', 'x'.repeat(10_000)]
    for (let i = 0; dropped().length === 0; i++) expect((await call(`/${i}`, ...padding)).status).equal(200)
    expect(gateway.lines[0]?.sentence).equal('log records were dropped: their receiver does not take them')
    expect(String(gateway.lines[0]?.fields.error)).match(/did not go on within 100 ms/)
    receiver.onConnection = () => {}
    for (const socket of receiver.sockets) socket.resume()
    await call('/well')
    await until(() => paths().includes('/well'))
    // Whatever was cut, no line begins in the middle of another.
    for (const record of receiver.records) expect(record).include.keys('request', 'client_ip')
  })

  it('one that is talkative, and half closed, is no concern', async () => {
    add()
    receiver.onConnection = (socket) => socket.write('x'.repeat(1_000_000))
    for (let i = 0; i < 3; i++) await call(`/${i}`)
    await until(() => receiver.records.length === 3)
  })

  it('stop sends what is left', async () => {
    add()
    await Promise.all(Array.from({ length: 40 }, (_, i) => call(`/${i}`)))
    await gateway.stop()
    await until(() => receiver.ended === 1)
    expect(receiver.records.length).equal(40)
    await gateway.start()
  })

  describe('its configuration', () => {
    const config = (input: JsonObject) =>
      validate({ fields: tcpLog.config }, input, { mode: 'create' }, systemRandom)
    const faults = (input: JsonObject) => {
      try {
        config(input)
        return {}
      } catch (error) {
        return (error as { errors: JsonObject }).errors
      }
    }

    it('needs host and port, and has a default for the rest', () => {
      expect(config({ host: 'a', port: '514' })).deep.equal({ host: 'a', port: 514, ...times })
      expect(faults({})).deep.equal({ host: 'host is required', port: 'port is required' })
    })

    it('refuses ports that there are not', () => {
      for (const port of [0, -1, 65_536, 1.5])
        expect(faults({ host: 'a', port })).deep.equal({
          port: `port must be a whole number from 1 to 65535, got ${port}`,
        })
    })
  })
})
