// WebSocket through the proxy, and what may not go that way.
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import net, { type AddressInfo, type Socket } from 'node:net'
import { expect } from 'chai'
import { WebSocket, WebSocketServer } from 'ws'
import type { Row } from '../../src/base/json.ts'
import { definePlugin } from '../../src/plugins/plugin.ts'
import { Counters } from '../../src/proxy/counters.ts'
import { Trust } from '../../src/proxy/outbound/trust.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { inEachLane } from '../support/lanes.ts'
import { until } from '../support/log.ts'
import { connect, connectTls, exchange } from '../support/raw-http.ts'

inEachLane('WebSocket', (lane) => {
  let gateway: TestGateway
  let server: http.Server
  let sockets: WebSocketServer
  /** The handshakes that came. */
  let asked: IncomingMessage[]

  beforeEach(async () => {
    asked = []
    server = http.createServer((_request, response) => response.writeHead(426).end('this is for WebSocket'))
    sockets = echoOn(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    gateway = await new TestGateway({ lane }).start()
  })

  afterEach(async () => {
    for (const socket of sockets.clients) socket.terminate()
    await gateway.stop()
    server.closeAllConnections()
    server.close()
  })

  /** Says back whatever it is told. */
  function echoOn(server: http.Server): WebSocketServer {
    const sockets = new WebSocketServer({ server, handleProtocols: () => 'b', maxPayload: 1e8 })
    sockets.on('connection', (socket, request) => {
      asked.push(request)
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
      socket.on('error', () => {})
    })
    return sockets
  }

  async function restart(options: TestGatewayOptions): Promise<void> {
    await gateway.stop()
    gateway = await new TestGateway({ lane, ...options }).start()
  }

  function addApi(row: Row = {}): Row {
    const { port } = server.address() as AddressInfo
    const api = gateway.addApi({ request_host: 'test', upstream_url: `http://127.0.0.1:${port}`, ...row })
    gateway.addPlugin(api, 'recorder')
    return api
  }

  const client = (path = '/', options: object = {}) =>
    new WebSocket(`ws://127.0.0.1:${gateway.port}${path}`, ['a', 'b'], {
      headers: { host: 'test' },
      ...options,
    })

  const tlsClient = () => {
    const url = `wss://localhost:${gateway.tlsPort}/`
    return new WebSocket(url, { headers: { host: 'test' }, ca: certificate })
  }

  async function echoed(socket: WebSocket, data: string | Buffer): Promise<string | Buffer> {
    socket.send(data)
    const [told, isBinary] = (await once(socket, 'message')) as [Buffer, boolean]
    return isBinary ? told : told.toString()
  }

  const handshake = (more = '') =>
    `GET /x HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${more}` +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'

  const count = (name: 'active' | 'writing' | 'requests' | 'routed') =>
    new Counters(gateway.counters).get(name)

  describe('goes through', () => {
    it('both ways, text and binary, small and large, with its protocol and its closing code', async () => {
      addApi()
      const socket = client('/chat?room=1')
      const opened = once(socket, 'open')
      const [response] = (await once(socket, 'upgrade')) as [IncomingMessage]
      expect(response.headers).include({ via: 'troop/1.2.3', 'sec-websocket-protocol': 'b' })
      expect(response.headers).include.keys('x-troop-upstream-latency', 'x-troop-proxy-latency')
      await opened
      expect(await echoed(socket, 'hello')).equal('hello')
      const large = Buffer.alloc(4 * 1024 * 1024, 'troop')
      expect(large.equals((await echoed(socket, large)) as Buffer)).equal(true)
      const pong = once(socket, 'pong')
      socket.ping('still there?')
      expect(String((await pong)[0])).equal('still there?')
      expect(asked[0]).include({ url: '/chat?room=1' })
      expect(asked[0]?.headers).include({
        upgrade: 'websocket',
        connection: 'Upgrade',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': 'http',
        'x-forwarded-host': 'test',
      })
      socket.close(4001, 'enough')
      const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
      expect([code, String(reason)]).deep.equal([4001, 'enough'])
      await until(() => count('active') === 0)
    })

    it('is counted while it lasts, and logged when it ends, with the bytes of both directions', async () => {
      addApi()
      const socket = client()
      await once(socket, 'open')
      expect([count('active'), count('writing'), count('requests'), count('routed')]).deep.equal([1, 1, 1, 1])
      await echoed(socket, 'x'.repeat(10_000))
      expect(gateway.records).length(0)
      socket.close()
      const { request, response, latencies } = await gateway.record()
      expect((response as Row).status).equal(101)
      expect((response as Row).headers).include({ via: 'troop/1.2.3' })
      expect(Number((response as Row).size)).within(10_000, 11_000)
      expect(Number((request as Row).size)).within(10_000, 11_000)
      expect(Number((latencies as Row).proxy)).least(0)
      await until(() => count('active') === 0)
    })

    it('over TLS from the client, and over TLS to the upstream', async () => {
      const secure = https.createServer({ cert: certificate, key: certificateKey })
      echoOn(secure)
      await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
      await restart({ outbound: { trust: new Trust({ authorities: certificate }) } })
      addApi({ upstream_url: `https://localhost:${(secure.address() as AddressInfo).port}` })
      const socket = tlsClient()
      await once(socket, 'open')
      expect(await echoed(socket, 'hello')).equal('hello')
      expect(asked[0]?.headers).include({ 'x-forwarded-proto': 'https' })
      socket.close()
      await once(socket, 'close')
      secure.close()
      await until(() => count('active') === 0)
    })

    it('bytes that come together with the handshake, from either side, are not lost', async () => {
      const upstream = net.createServer((socket) => {
        socket.on('error', () => {})
        let came = ''
        socket.on('data', (chunk) => {
          if (!came.includes('\r\n\r\n') && `${came}${chunk}`.includes('\r\n\r\n')) {
            socket.write(
              'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\nearly',
            )
          }
          came += String(chunk)
          if (came.endsWith('over')) socket.end(' and out')
        })
      })
      await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
      addApi({ upstream_url: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}` })
      const reply = await exchange(gateway.port, `${handshake()}over`)
      expect(reply)
        .match(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
        .match(/\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly and out$/)
      upstream.close()
    })

    it('a client that has said all hears the rest', async () => {
      const upstream = await rawUpstream((socket) => {
        socket.once('end', () => socket.end('the rest'))
      })
      addApi({ upstream_url: upstream.url })
      const socket = await connect(gateway.port)
      socket.write(handshake())
      let told = ''
      socket.on('data', (chunk) => {
        if (told === '') socket.end()
        told += String(chunk)
      })
      await once(socket, 'close')
      expect(told).match(/\r\n\r\nthe rest$/)
      upstream.close()
    })

    it('a slow reader holds back who sends', async () => {
      let written = 0
      const chunk = Buffer.alloc(256 * 1024)
      const total = 64 * 1024 * 1024
      const upstream = await rawUpstream((socket) => {
        const more = (): void => {
          while (written < total) {
            written += chunk.length
            if (!socket.write(chunk)) {
              socket.once('drain', more)
              return
            }
          }
          socket.end()
        }
        more()
      })
      addApi({ upstream_url: upstream.url })
      const socket = await connect(gateway.port)
      socket.write(handshake())
      await once(socket, 'readable')
      for (let before = -1; before !== written; ) {
        before = written
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
      expect(written).below(total / 2)
      let read = 0
      for await (const chunk of socket) read += (chunk as Buffer).length
      expect(read).above(total)
      upstream.close()
    })
  })

  describe('lasts', () => {
    it('whatever is configured meanwhile', async () => {
      const api = addApi()
      const socket = client()
      await once(socket, 'open')
      gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      expect(await echoed(socket, 'one')).equal('one')
      gateway.catalog.remove('apis', ({ id }) => id === api.id)
      expect(await echoed(socket, 'two')).equal('two')
      socket.terminate()
    })

    it('as long as something moves in it, and no longer than the read timeout when nothing does', async () => {
      await restart({ outbound: { timeouts: { readMs: 200 } } })
      addApi()
      const socket = client()
      await once(socket, 'open')
      for (let i = 0; i < 8; i++) {
        await new Promise((resolve) => setTimeout(resolve, 60))
        socket.send('still here')
      }
      const since = performance.now()
      const [code] = (await once(socket, 'close')) as [number]
      expect(code).equal(1006)
      expect(performance.now() - since).within(100, 5000)
      await until(() => sockets.clients.size === 0 && count('active') === 0)
    })

    it('although nothing moves, while the bounds for idle connections pass on either side', async () => {
      await restart({ outbound: { idleMs: 80 }, inboundTimeoutMs: 80 })
      addApi()
      const socket = client()
      await once(socket, 'open')
      await new Promise((resolve) => setTimeout(resolve, 400))
      expect(await echoed(socket, 'still there')).equal('still there')
      socket.terminate()
    })

    it('until either side goes, and takes the other with it', async () => {
      addApi()
      const [one, two] = [client(), client()]
      await Promise.all([once(one, 'open'), once(two, 'open')])
      await until(() => sockets.clients.size === 2)
      one.terminate()
      await until(() => sockets.clients.size === 1)
      for (const left of sockets.clients) left.terminate()
      await once(two, 'close')
      await until(() => count('active') === 0)
    })

    it('through a drain, which waits for it, and stop ends it after its grace', async () => {
      await restart({ graceMs: 50 })
      addApi()
      const socket = client()
      await once(socket, 'open')
      let drained = false
      const drain = gateway.inbound.drain().then(() => {
        drained = true
      })
      expect(await echoed(socket, 'hello')).equal('hello')
      expect(drained).equal(false)
      const closed = once(socket, 'close')
      await gateway.inbound.stop()
      await Promise.all([closed, drain])
      expect((await gateway.record()).response).include({ status: 101 })
    })
  })

  describe('is declined', () => {
    it('by plugins that run before it, as any request is', async () => {
      gateway.addPlugin(addApi(), 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      const [, response] = (await once(client(), 'unexpected-response')) as [unknown, IncomingMessage]
      expect(response.statusCode).equal(401)
      expect(response.headers).include({ connection: 'close', server: 'troop/1.2.3' })
      let body = ''
      for await (const chunk of response) body += String(chunk)
      expect(JSON.parse(body)).property('message')
      expect(asked).deep.equal([])
      expect((await gateway.record()).response).include({ status: 401 })
    })

    it('by the gateway: no API, an upstream that is not there', async () => {
      const statusOf = async (socket: WebSocket) => {
        const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
        response.resume()
        return response.statusCode
      }
      expect(await statusOf(client())).equal(404)
      addApi({ upstream_url: 'http://127.0.0.1:1' })
      expect(await statusOf(client())).equal(502)
    })

    it('by the upstream: its answer passes through, in whatever framing, and ends the connection', async () => {
      const upstream = await new Upstream().start()
      addApi({ upstream_url: upstream.url })
      const total = 8 * 1024 * 1024
      upstream.answer = ({ url }, response) => {
        if (url === '/counted') response.writeHead(403, { 'Content-Length': 4 }).end('nope')
        else if (url === '/empty') response.writeHead(204).end()
        else if (url === '/broken') response.write('some', () => response.destroy())
        else {
          response.writeHead(200, { Trailer: 'X-Sum' }).write(Buffer.alloc(total))
          response.addTrailers({ 'X-Sum': '42' })
          response.end()
        }
      }
      const read = async (path: string) => {
        const socket = client(path)
        socket.on('error', () => {})
        const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
        let bytes = 0
        for await (const chunk of response) bytes += (chunk as Buffer).length
        return [response.statusCode, bytes, response.trailers['x-sum']]
      }
      expect(await read('/counted')).deep.equal([403, 4, undefined])
      expect(await read('/empty')).deep.equal([204, 0, undefined])
      expect(await read('/large')).deep.equal([200, total, '42'])
      expect(await read('/broken').catch((error) => error.code)).equal('ECONNRESET')
      await until(() => count('active') === 0)
      await upstream.stop()
    })

    it('when a plugin breaks its head: 500, and the upstream’s connection is closed', async () => {
      const broken = definePlugin({
        name: 'broken',
        phases: {
          headers({ status }) {
            if (status === 101) throw new Error('boom')
          },
        },
      })
      await restart({ plugins: [broken] })
      gateway.addPlugin(addApi(), 'broken')
      const [, response] = (await once(client(), 'unexpected-response')) as [unknown, IncomingMessage]
      expect(response.resume().statusCode).equal(500)
      await until(() => sockets.clients.size === 0 && count('active') === 0)
    })

    it('when the client is gone by the time the upstream agrees, which is told at once', async () => {
      const agree = Promise.withResolvers<void>()
      const arrived = Promise.withResolvers<void>()
      const ended = Promise.withResolvers<void>()
      const upstream = await rawUpstream(
        () => {},
        (socket) => {
          socket.once('end', () => ended.resolve())
          arrived.resolve()
          return agree.promise
        },
      )
      addApi({ upstream_url: upstream.url })
      const socket = await connect(gateway.port)
      socket.write(handshake())
      await arrived.promise
      socket.resetAndDestroy()
      expect((await gateway.record()).response).include({ status: 499 })
      await ended.promise
      agree.resolve()
      upstream.close()
    })
  })

  describe('anything else is an ordinary request', () => {
    let upstream: Upstream

    beforeEach(async () => {
      upstream = await new Upstream().start()
      addApi({ upstream_url: upstream.url })
    })
    afterEach(() => upstream.stop())

    const last = 'Connection: Upgrade, close\r\n'
    const requests: Record<string, string> = {
      'another protocol': `GET / HTTP/1.1\r\nHost: test\r\n${last}Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n`,
      'several protocols': `GET / HTTP/1.1\r\nHost: test\r\n${last}Upgrade: h2c, websocket\r\n\r\n`,
      'another method': `POST / HTTP/1.1\r\nHost: test\r\n${last}Upgrade: websocket\r\nContent-Length: 3\r\n\r\nabc`,
      'a body': `GET / HTTP/1.1\r\nHost: test\r\n${last}Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
      'HTTP/1.0': `GET / HTTP/1.0\r\nHost: test\r\n${last}Upgrade: websocket\r\n\r\n`,
      'an expectation': `GET / HTTP/1.1\r\nHost: test\r\n${last}Upgrade: websocket\r\nExpect: 100-continue\r\n\r\n`,
    }
    for (const [what, bytes] of Object.entries(requests)) {
      it(`${what}: answered by HTTP, and the upstream does not hear of it`, async () => {
        const reply = await exchange(gateway.port, bytes)
        expect(reply)
          .match(/HTTP\/1\.1 200 OK\r\n/)
          .not.match(/"upgrade"/)
        if (bytes.includes('abc')) expect(reply).include('"body":"abc"')
      })
    }

    it('one that comes behind another request on its connection, which is answered first', async () => {
      upstream.answer = ({ url }, response) => void response.end(`answer to ${url} `)
      const get = 'GET /first HTTP/1.1\r\nHost: test\r\n\r\n'
      const reply = await exchange(
        gateway.port,
        get + handshake().replace('Upgrade\r\n', 'Upgrade, close\r\n'),
      )
      expect(reply.match(/answer to \S+/g)).deep.equal(['answer to /first', 'answer to /x'])
    })

    it('a handshake that is not as HTTP asks for is 400', async () => {
      expect(await exchange(gateway.port, handshake().replace('Host: test\r\n', ''))).match(
        /^HTTP\/1\.1 400 /,
      )
      expect(upstream.requests).equal(0)
    })

    it('an upstream that goes on in a protocol that nobody asked for is 502', async () => {
      for (const protocol of ['h2c', 'websocket, x']) {
        const other = await rawUpstream(() => {}, undefined, protocol)
        const api = gateway.addApi({ request_path: '/', upstream_url: other.url })
        const reply = await exchange(gateway.port, handshake().replace('Host: test', 'Host: other'))
        expect(reply).match(/^HTTP\/1\.1 502 /)
        gateway.catalog.remove('apis', ({ id }) => id === api.id)
        other.close()
      }
    })
  })

  it('over TLS too, what is declined is answered and closed', async () => {
    gateway.addPlugin(addApi(), 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    const socket = await connectTls(gateway.tlsPort)
    socket.write(handshake())
    let told = ''
    for await (const chunk of socket) told += String(chunk)
    expect(told).match(/^HTTP\/1\.1 401 /)
  })
})

/** An upstream that agrees to `protocol` after `agreed`, and then hands each connection to `go`. */
async function rawUpstream(
  go: (socket: Socket) => void,
  agreed: (socket: Socket) => Promise<void> = () => Promise.resolve(),
  protocol = 'websocket',
) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', async () => {
      await agreed(socket)
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`)
      socket.resume()
      go(socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => void server.close(),
  }
}
