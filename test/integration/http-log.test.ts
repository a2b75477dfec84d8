// http-log against receivers that are good, slow, away, hanging and rude, on real sockets.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import https from 'node:https'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import { isObject, type JsonObject, type Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { httpLog } from '../../src/plugins/http-log/http-log.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { ask } from '../support/raw-http.ts'

const byDefault = { method: 'POST', timeout: 10_000, keepalive: 60_000 }

describe('http-log', () => {
  let upstream: Upstream
  let receiver: Upstream
  let gateway: TestGateway
  let api: Row
  /** What the receiver was sent, and by which requests. */
  let records: JsonObject[]
  let heads: { method: string; url: string; headers: string[] }[]

  beforeEach(async () => {
    upstream = await new Upstream().start()
    receiver = await new Upstream().start()
    gateway = await new TestGateway().start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    records = []
    heads = []
    takeRecords()
  })

  afterEach(async () => {
    await gateway.stop()
    await receiver.stop()
    await upstream.stop()
  })

  /** The receiver keeps each record and answers as `answer` says. */
  function takeRecords(answer = (response: ServerResponse) => void response.end()): void {
    receiver.answer = (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('end', () => {
        heads.push({ method: request.method ?? '', url: request.url ?? '', headers: request.rawHeaders })
        records.push(JSON.parse(Buffer.concat(chunks).toString()))
        answer(response)
      })
    }
  }

  const add = (config: JsonObject) => gateway.addPlugin(api, 'http-log', { ...byDefault, ...config })
  const call = (path = '/') => ask(gateway.port, path)
  const pathsOf = (all: readonly JsonObject[]) =>
    all.map(({ request }) => (isObject(request) ? request.uri : undefined))
  const dropped = () => gateway.lines.flatMap(({ fields }) => (fields.dropped as number | undefined) ?? [])

  it('sends each record as 0.8 did, refused requests included [contract 455]', async () => {
    add({ http_endpoint: `${receiver.url}/logs/in?token=left-out#nor-this` })
    await call('/get?x=1')
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    await call('/refused')
    await until(() => records.length === 2)
    expect(records[0]).deep.include({ client_ip: '127.0.0.1' })
    expect(records[0]).have.keys('request', 'response', 'latencies', 'api', 'client_ip', 'started_at')
    expect(pathsOf(records)).deep.equal(['/get?x=1', '/refused'])
    expect(records[1]?.response).deep.include({ status: 401 })
    const length = String(Buffer.byteLength(JSON.stringify(records[0])))
    expect(heads[0]).deep.equal({
      method: 'POST',
      url: '/logs/in',
      headers: [
        ...['Host', '127.0.0.1', 'Content-Type', 'application/json', 'Content-Length', length],
        ...['Connection', 'keep-alive'],
      ],
    })
  })

  it('sends to HTTPS, whoever vouches for the certificate [contract 455]', async () => {
    const taken = Promise.withResolvers<JsonObject>()
    const names: unknown[] = []
    const options = {
      key: certificateKey,
      cert: certificate,
      SNICallback(name: string, done: (error: null) => void) {
        names.push(name)
        done(null)
      },
    }
    const server = https.createServer(options, async (request, response) => {
      taken.resolve(JSON.parse((await request.setEncoding('utf8').toArray()).join('')))
      response.end()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    add({ http_endpoint: `https://localhost:${(server.address() as AddressInfo).port}` })
    await call()
    expect(await taken.promise).deep.include({ client_ip: '127.0.0.1' })
    expect(names).deep.equal(['localhost'])
    server.closeAllConnections()
    server.close()
  })

  it('by PUT and PATCH, too, whatever the answer', async () => {
    takeRecords((response) => void response.writeHead(500).end('no'))
    for (const method of ['PUT', 'PATCH']) {
      const row = add({ http_endpoint: receiver.url, method })
      await call()
      await until(() => heads.at(-1)?.method === method)
      expect(heads.at(-1)?.url).equal('/')
      gateway.catalog.remove('plugins', ({ id }) => id === row.id)
    }
    expect(dropped()).deep.equal([])
  })

  it('reuses its connections, and two APIs with one endpoint share them', async () => {
    const other = gateway.addApi({ request_host: 'other', upstream_url: upstream.url })
    add({ http_endpoint: receiver.url })
    gateway.addPlugin(other, 'http-log', { ...byDefault, http_endpoint: receiver.url })
    for (let i = 0; i < 10; i++) {
      await ask(gateway.port, '/', { headers: ['Host', i % 2 ? 'test' : 'other'] })
      await until(() => records.length === i + 1)
    }
    expect(receiver.connections).equal(1)
  })

  it('reuses them after answers in chunks, too', async () => {
    takeRecords((response) => {
      response.write('taken')
      response.end(' and kept')
    })
    add({ http_endpoint: receiver.url })
    for (let i = 0; i < 3; i++) {
      await call()
      await until(() => records.length === i + 1)
    }
    expect(receiver.connections).equal(1)
    expect(dropped()).deep.equal([])
  })

  for (const [keepalive, connection] of [
    [0, 'close'],
    [30, 'keep-alive'],
  ] as const)
    it(`keeps none for longer than a keepalive of ${keepalive} ms`, async () => {
      const closed = Promise.withResolvers<void>()
      const server = createServer((socket) => {
        socket.on('error', () => {}).on('close', () => closed.resolve())
        socket.once('data', (chunk) => {
          expect(String(chunk)).include(`\r\nConnection: ${connection}\r\n`)
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
        })
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      add({ http_endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, keepalive })
      await call()
      await closed.promise
      server.close()
      expect(dropped()).deep.equal([])
    })

  it('never holds up traffic: a receiver that answers nobody delays no request', async () => {
    const held: (() => void)[] = []
    let holds = true
    takeRecords((response) => void (holds ? held.push(() => response.end()) : response.end()))
    add({ http_endpoint: receiver.url })
    for (let i = 0; i < 50; i++) expect((await call(`/${i}`)).status).equal(200)
    expect(records.length, 'under way before the first was answered').equal(1)
    holds = false
    for (const release of held) release()
    await until(() => records.length === 50)
    expect(new Set(pathsOf(records)).size).equal(50)
    expect(receiver.connections, 'at once').most(32)
    expect(dropped()).deep.equal([])
  })

  it('one that hangs costs what it was sent, is said, and gets the next when it is well', async () => {
    let hangs = true
    takeRecords((response) => void (hangs || response.end()))
    add({ http_endpoint: receiver.url, timeout: 50 })
    await call('/lost')
    await call('/kept')
    await until(() => gateway.lines.length > 0)
    expect(gateway.lines[0]).deep.include({
      sentence: 'log records were dropped: their receiver does not take them',
    })
    expect(gateway.lines[0]?.fields).include({ receiver: receiver.url, dropped: 1 })
    expect(String(gateway.lines[0]?.fields.error)).match(/no answer within 50 ms/)
    hangs = false
    const before = records.length
    await call('/new')
    await until(() => pathsOf(records).includes('/new'))
    expect(pathsOf(records.slice(before))).include('/new')
    expect(pathsOf(records).filter((path) => path === '/lost')).deep.equal(['/lost'])
  })

  it('one that is away gets all when it is back, in order', async () => {
    const { port } = receiver
    await receiver.stop()
    add({ http_endpoint: `http://127.0.0.1:${port}` })
    for (let i = 0; i < 5; i++) await call(`/${i}`)
    await until(() => gateway.lines.length > 0)
    expect(gateway.lines[0]?.sentence).match(/records wait/)
    receiver = new Upstream(port)
    takeRecords()
    await receiver.start()
    await until(() => records.length === 5)
    expect(pathsOf(records)).deep.equal(['/0', '/1', '/2', '/3', '/4'])
    expect(dropped()).deep.equal([])
  })

  it('one whose answer never ends has the record, and loses its connection', async () => {
    takeRecords((response) => void response.writeHead(200).write('…'))
    add({ http_endpoint: receiver.url, timeout: 50 })
    for (let i = 0; i < 3; i++) {
      await call(`/${i}`)
      await until(() => records.length === i + 1)
    }
    expect(receiver.connections).least(2)
    expect(dropped()).deep.equal([])
  })

  describe('with a receiver that speaks in bytes', () => {
    let server: Server
    let connections: number
    /** Told each request that came whole, with its connection and its number there. */
    let react: (socket: Socket, nth: number) => void
    const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

    beforeEach(async () => {
      connections = 0
      server = createServer((socket) => {
        connections++
        let [text, nth] = ['', 0]
        socket.on('error', () => {})
        socket.on('data', (chunk) => {
          text += chunk
          for (let whole = /\r\n\r\n(\{.*?\})(?=PO|$)/s.exec(text); whole; whole = null) {
            if (!isWhole(whole[1] as string)) return
            text = ''
            records.push(JSON.parse(whole[1] as string))
            react(socket, ++nth)
          }
        })
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      add({ http_endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
    })
    afterEach(() => void server.close())

    it('what it closes without an answer is not sent again, but counted', async () => {
      react = (socket) => socket.destroy()
      await call('/a')
      await until(() => dropped().length === 1)
      expect(dropped()).deep.equal([1])
      react = (socket) => socket.write(answer)
      await call('/b')
      await until(() => records.length === 2)
      expect(pathsOf(records)).deep.equal(['/a', '/b'])
    })

    it('a connection that it closed while idle costs nothing', async () => {
      react = (socket, nth) => {
        if (nth === 1) socket.write(answer)
        else socket.destroy()
      }
      // The second one on each connection finds it closed, and is sent once more on a new one.
      for (let i = 0; i < 4; i++) {
        const { length } = records
        await call(`/${i}`)
        await until(() => records.length > length)
        await until(() => records.at(-1)?.request !== undefined)
      }
      await gateway.gateway.stop()
      expect(new Set(pathsOf(records))).deep.equal(new Set(['/0', '/1', '/2', '/3']))
      expect(dropped()).deep.equal([])
      expect(connections).least(2)
    })

    it('what is no HTTP is a failure like any other', async () => {
      react = (socket) => socket.end('220 mail.example.org ESMTP\r\n')
      await call()
      await until(() => dropped().length === 1)
      expect((await call()).status).equal(200)
    })
  })

  it('stop sends what is left', async () => {
    add({ http_endpoint: receiver.url })
    await Promise.all(Array.from({ length: 40 }, (_, i) => call(`/${i}`)))
    await gateway.stop()
    expect(records.length).equal(40)
    await gateway.start()
  })

  describe('its configuration', () => {
    const shape = { fields: httpLog.config }
    const config = (input: JsonObject) => validate(shape, input, { mode: 'create' }, systemRandom)
    const faults = (input: JsonObject) => {
      try {
        config(input)
        return {}
      } catch (error) {
        return (error as { errors: JsonObject }).errors
      }
    }

    it('needs an endpoint, and has a default for the rest', () => {
      expect(config({ http_endpoint: 'http://a' })).deep.equal({ http_endpoint: 'http://a', ...byDefault })
      expect(faults({})).deep.equal({ http_endpoint: 'http_endpoint is required' })
    })

    it('refuses what can’t be sent to', () => {
      expect(faults({ http_endpoint: 'a' })).deep.equal({ http_endpoint: 'http_endpoint is not a url' })
      const protocols = { http_endpoint: 'Supported protocols are HTTP and HTTPS' }
      expect(faults({ http_endpoint: 'ftp://a' })).deep.equal(protocols)
      expect(faults({ http_endpoint: 'http://a', method: 'GET' })).deep.equal({
        method: '"GET" is not allowed. Allowed values are: "POST", "PUT", "PATCH"',
      })
    })
  })
})

function isWhole(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
