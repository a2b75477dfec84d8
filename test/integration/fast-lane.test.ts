// Which requests take the fast lane, and what becomes of a connection when one does not.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect } from 'chai'
import { Counters } from '../../src/proxy/counters.ts'
import { SharedSocket } from '../../src/proxy/inbound/shared-socket.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { ask, connect, connectTls, exchange } from '../support/raw-http.ts'

const get = 'GET / HTTP/1.1\r\nHost: test\r\n\r\n'
const last = 'GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n'

describe('the fast lane', () => {
  let upstream: Upstream
  let gateway: TestGateway

  async function start(options: TestGatewayOptions = {}): Promise<void> {
    gateway = await new TestGateway(options).start()
    gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  }

  beforeEach(async () => {
    upstream = await new Upstream().start()
  })
  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const count = (name: 'fast' | 'requests') => new Counters(gateway.counters).get(name)

  /** The paths that came back, one for each answer. */
  const paths = (received: string) => [...received.matchAll(/"url":"([^"]*)"/g)].map(([, path]) => path)

  /** Resolves with what came back since, once there is something of it. */
  async function heard(socket: Socket): Promise<string> {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    return chunk.toString('latin1')
  }

  for (const how of ['plain', 'tls'] as const) {
    it(`takes what is plain, one after the other (${how})`, async () => {
      await start()
      const socket = await (how === 'tls' ? connectTls(gateway.tlsPort) : connect(gateway.port))
      for (let n = 1; n <= 3; n++) {
        socket.write(get)
        expect(await heard(socket)).match(/^HTTP\/1\.1 200 /)
        expect([count('fast'), count('requests')]).deep.equal([n, n])
      }
      socket.destroy()
    })

    it(`leaves a connection for good with the first request that is not plain (${how})`, async () => {
      await start()
      const socket = await (how === 'tls' ? connectTls(gateway.tlsPort) : connect(gateway.port))
      const odd = 'POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n'
      for (const [request, fast] of [
        [get, 1],
        [odd, 1],
        [get, 1],
      ] as const) {
        socket.write(request)
        expect(await heard(socket)).match(/^HTTP\/1\.1 200 /)
        expect(count('fast')).equal(fast)
      }
      expect(count('requests')).equal(3)
      socket.destroy()
    })
  }

  it('is not for a head that comes in pieces, which loses nothing by that', async () => {
    await start()
    const socket = await connect(gateway.port)
    socket.write(get.slice(0, 20))
    // Long enough for it to be read alone.
    await new Promise((resolve) => setTimeout(resolve, 30))
    socket.write(get.slice(20))
    expect(await heard(socket)).match(/^HTTP\/1\.1 200 /)
    expect([count('fast'), count('requests')]).deep.equal([0, 1])
    socket.destroy()
  })

  it('answers in order what was asked without waiting, the first of it itself', async () => {
    await start()
    upstream.answer = async (request, response) => {
      // The others have come by then.
      if (request.url === '/0') await new Promise((resolve) => setTimeout(resolve, 30))
      response.end(JSON.stringify({ url: request.url }))
    }
    const requests = Array.from({ length: 5 }, (_, n) => get.replace(' / ', ` /${n} `))
    expect(paths(await exchange(gateway.port, requests.join('') + last))).deep.equal([
      '/0',
      '/1',
      '/2',
      '/3',
      '/4',
      '/last',
    ])
    expect(count('fast')).equal(1)
  })

  it('bounds the time of a head that had begun to come behind a request, and then did not go on', async () => {
    await start({ limits: { headMs: 150 } })
    expect(await exchange(gateway.port, `${get}GET / HT`)).match(/^HTTP\/1\.1 200 .*HTTP\/1\.1 408 /s)
    expect(count('fast')).equal(1)
  })

  it('loses nothing of what came with a handshake while others are read into the same memory', async () => {
    await start()
    const asked = Promise.withResolvers<Socket>()
    const server = createServer((socket) => socket.once('data', () => asked.resolve(socket))).listen(
      0,
      '127.0.0.1',
    )
    await once(server, 'listening')
    const upstream_url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
    gateway.addApi({ request_host: 'socket', upstream_url })
    const client = await connect(gateway.port)
    const handshake =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
    client.write(
      `GET / HTTP/1.1\r\nHost: socket\r\n${handshake}\r\nSec-WebSocket-Version: 13\r\n\r\nearly bytes`,
    )
    const socket = await asked.promise
    await ask(gateway.port, '/', { method: 'POST', body: 'x'.repeat(10_000) })
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    expect(String((await once(socket, 'data'))[0])).equal('early bytes')
    client.destroy()
    server.close()
  })

  it('passes a large body on as it came, however slowly it is taken', async () => {
    await start()
    const body = Buffer.alloc(3_000_000)
    for (let i = 0; i < body.length; i += 4) body.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i)
    upstream.answer = async (request, response) => {
      const hash = createHash('sha256')
      for await (const chunk of request) {
        hash.update(chunk as Buffer)
        await new Promise((resolve) => setImmediate(resolve))
      }
      response.end(hash.digest('hex'))
    }
    const { body: digest } = await ask(gateway.port, '/', { method: 'POST', body })
    expect(digest).equal(createHash('sha256').update(body).digest('hex'))
    expect(count('fast')).equal(1)
  })

  it('closes a connection that has had an answer after the idle time, and not before', async () => {
    await start({ limits: { idleMs: 100 } })
    const socket = await connect(gateway.port)
    socket.write(get)
    await heard(socket)
    const since = performance.now()
    await once(socket.resume(), 'close')
    // A second is what clients are given over what they are told.
    expect(performance.now() - since).greaterThan(1000)
  })

  it('reads connections into memory that they share, where Node lets it', async () => {
    await start()
    const server = createServer((socket) => accepted.resolve(socket)).listen(0, '127.0.0.1')
    const accepted = Promise.withResolvers<Socket>()
    await once(server, 'listening')
    const client = await connect((server.address() as { port: number }).port)
    const own = SharedSocket.over(await accepted.promise, Buffer.alloc(100)) as SharedSocket
    expect(own).instanceOf(SharedSocket)
    const taken: string[] = []
    own.taker = (bytes) => taken.push(bytes.toString())
    client.write('x'.repeat(150))
    while (taken.join('').length < 150) await new Promise((resolve) => setImmediate(resolve))
    expect(taken.map(({ length }) => length)).deep.equal([100, 50])
    own.taker = undefined
    client.write('as a stream')
    expect(String((await once(own, 'data'))[0])).equal('as a stream')
    // The server still knows of it: it closes when the connection does.
    const closed = once(server, 'close')
    server.close()
    client.end()
    own.end()
    await closed
  })
})
