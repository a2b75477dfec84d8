// HTTP/2 for clients of the listener for TLS, on real sockets.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ClientHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { WebSocket, WebSocketServer } from 'ws'
import type { Row } from '../../src/base/json.ts'
import { definePlugin } from '../../src/plugins/plugin.ts'
import { type Counter, Counters } from '../../src/proxy/counters.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { certificate } from '../support/certificate.ts'
import { curl } from '../support/curl.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { answerOf, askHttp2, connectHttp2, type Http2Answered } from '../support/http2-client.ts'
import { until } from '../support/log.ts'
import { requireProgram } from '../support/program.ts'
import { ask, connectTls } from '../support/raw-http.ts'

describe('HTTP/2 for clients', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let session: ClientHttp2Session

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
    session = await connectHttp2(gateway.tlsPort)
  })

  afterEach(async () => {
    session.destroy()
    await gateway.stop()
    await upstream.stop()
  })

  async function restart(options: TestGatewayOptions): Promise<void> {
    session.destroy()
    await gateway.stop()
    gateway = await new TestGateway(options).start()
    session = await connectHttp2(gateway.tlsPort)
  }

  function addApi(row: Row = {}): Row {
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url, ...row })
    gateway.addPlugin(api, 'recorder')
    return api
  }

  const seen = ({ body }: Http2Answered) => JSON.parse(body) as Seen
  const count = (counter: Counter) => new Counters(gateway.counters).get(counter)
  const open = () => (['active', 'reading', 'writing', 'waiting'] as const).map(count)

  describe('what is agreed on', () => {
    it('is HTTP/2 with whoever offers it, HTTP/1.1 with others', async () => {
      const chosen = async (ALPNProtocols: string[]) => {
        const socket = await connectTls(gateway.tlsPort, { ALPNProtocols })
        socket.destroy()
        return socket.alpnProtocol
      }
      expect(await chosen(['http/1.1', 'h2'])).equal('h2')
      expect(await chosen(['http/1.1'])).equal('http/1.1')
      await restart({ tls: { http2: false } }).catch(() => undefined)
      expect(await chosen(['h2', 'http/1.1'])).equal('http/1.1')
    })

    it('curl speaks it', async function () {
      requireProgram(this, 'curl')
      addApi()
      const dir = await mkdtemp(join(tmpdir(), 'troop-curl-'))
      await writeFile(join(dir, 'ca.pem'), certificate)
      const url = `https://localhost:${gateway.tlsPort}/x`
      const asked = ['--http2', '--cacert', join(dir, 'ca.pem'), '-H', 'Host: test', '-d', 'hello', url]
      const told = await curl('-w', '\n%{http_version}', ...asked)
      await rm(dir, { recursive: true })
      const [body = '', version] = told.split('\n')
      expect(JSON.parse(body)).include({ url: '/x', body: 'hello' })
      expect(version).equal('2')
    })

    it('a WebSocket over HTTP/1.1 goes through the same port', async () => {
      const echo = new WebSocketServer({ port: 0, host: '127.0.0.1' })
      await once(echo, 'listening')
      echo.on('connection', (socket) => socket.on('message', (data) => socket.send(`told ${data}`)))
      const { port } = echo.address() as AddressInfo
      addApi({ upstream_url: `http://127.0.0.1:${port}` })
      const headers = { Host: 'test' }
      const socket = new WebSocket(`wss://localhost:${gateway.tlsPort}/`, { ca: certificate, headers })
      await once(socket, 'open')
      socket.send('hello')
      expect(String((await once(socket, 'message'))[0])).equal('told hello')
      socket.terminate()
      echo.close()
    })
  })

  describe('a request', () => {
    it('goes upstream as any other, and is recorded as any other', async () => {
      addApi()
      const answered = await askHttp2(session, { ':path': '/a%2Fb?x=1', 'X-Own': 'y' })
      expect(answered).include({ status: 200, code: 0 })
      expect(answered.headers).include({ server: 'upstream/1', via: 'troop/1.2.3' })
      expect(answered.headers).not.have.any.keys('connection', 'keep-alive', 'transfer-encoding')
      expect(seen(answered)).include({ method: 'GET', url: '/a%2Fb?x=1' })
      expect(seen(answered).headers).include({
        ...{ 'x-own': 'y', 'x-forwarded-host': 'test', 'x-forwarded-proto': 'https' },
        'x-real-ip': '127.0.0.1',
      })
      const { request, response, client_ip } = await gateway.record()
      expect(request).include({ method: 'GET', uri: '/a%2Fb?x=1' })
      expect(request).include({ request_uri: `https://test:${gateway.tlsPort}/a%2Fb?x=1` })
      expect(response).include({ status: 200 })
      expect(Number((response as Row).size)).within(answered.body.length + 100, answered.body.length + 400)
      expect(client_ip).equal('127.0.0.1')
      expect([count('requests'), count('http2'), count('fast')]).deep.equal([1, 1, 0])
    })

    it('is said to be HTTP/2.0 to plugins', async () => {
      const versions: string[] = []
      const looking = definePlugin({
        name: 'looking',
        phases: { access: ({ incoming }) => void versions.push(incoming.httpVersion) as undefined },
      })
      await restart({ plugins: [looking] })
      gateway.addPlugin(addApi(), 'looking')
      await askHttp2(session)
      expect(versions).deep.equal(['2.0'])
    })

    it('has one field of what came of its cookies in several, where the first was', async () => {
      addApi()
      const { rawHeaders } = seen(await askHttp2(session, { cookie: ['a=1', 'b=2'], z: '3' }))
      expect(rawHeaders.slice(2, 6)).deep.equal(['cookie', 'a=1; b=2', 'z', '3'])
    })

    it('keeps its host for an upstream that wants it, and te ends here', async () => {
      addApi({ preserve_host: true })
      const { headers } = seen(await askHttp2(session, { te: 'trailers' }))
      expect(headers).include({ host: 'test' }).and.not.have.property('te')
    })

    it('has its body and trailers passed on, the body by its length where it says one', async () => {
      addApi()
      const sized = seen(await askHttp2(session, { ':method': 'POST', 'content-length': 5 }, 'hello'))
      expect(sized).include({ body: 'hello' })
      expect(sized.headers).include({ 'content-length': '5' })
      const stream = session.request(
        { ':authority': 'test', ':path': '/', ':method': 'POST', trailer: 'x-sum' },
        { waitForTrailers: true },
      )
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }))
      stream.end('hello')
      const chunked = seen(await answerOf(stream))
      expect(chunked).include({ body: 'hello' })
      expect(chunked.headers).include({ 'transfer-encoding': 'chunked' })
      expect(chunked.trailers).deep.equal({ 'x-sum': '7' })
    })

    it('is asked for its body once the upstream wants it', async () => {
      addApi()
      const { informed } = await askHttp2(session, { ':method': 'POST', expect: '100-continue' }, 'x')
      expect(informed).deep.equal([100])
      const other = await askHttp2(
        session,
        { ':method': 'POST', ':authority': 'none', expect: '100-continue' },
        'x',
      )
      expect(other).include({ status: 404 })
      expect(other.informed).deep.equal([])
    })
  })

  describe('an answer', () => {
    it('without a body has none, whatever it says of its length', async () => {
      addApi()
      for (const [method, status] of [['HEAD', 200] as const, ['GET', 204] as const, ['GET', 304] as const]) {
        upstream.answer = (_request, response) => {
          response.writeHead(status, status === 204 ? {} : { 'Content-Length': '5' })
          response.end()
        }
        const answered = await askHttp2(session, { ':method': method })
        expect(answered).include({ status, body: '', code: 0 })
        expect(answered.headers['content-length']).equal(status === 204 ? undefined : '5')
      }
    })

    it('has all of its fields, also those that are there twice, and its trailers', async () => {
      addApi()
      upstream.answer = (_request, response) => {
        response.writeHead(200, {
          'Set-Cookie': ['a=1', 'b=2'],
          Trailer: 'X-Sum',
          Connection: 'X-Gone',
          'X-Gone': '1',
        })
        response.write('hello')
        response.addTrailers({ 'X-Sum': '7' })
        response.end()
      }
      const answered = await askHttp2(session)
      expect(answered).include({ body: 'hello' })
      expect(answered.headers['set-cookie']).deep.equal(['a=1', 'b=2'])
      expect(answered.headers).include({ trailer: 'X-Sum' }).and.not.have.property('x-gone')
      expect(answered.trailers).deep.equal({ 'x-sum': '7' })
    })

    it('is preceded by what the upstream says before it', async () => {
      addApi()
      upstream.answer = (_request, response) => {
        response.writeEarlyHints({ link: '</a>; rel=preload' })
        response.end('hello')
      }
      expect((await askHttp2(session)).informed).deep.equal([103])
    })

    it('of the gateway says what it says over HTTP/1.1', async () => {
      const fields = ({
        headers: { date, connection, 'keep-alive': _, ...rest },
      }: Pick<Http2Answered, 'headers'>) => rest
      const headers = ['Host', 'none']
      const before = await ask(gateway.tlsPort, '/x', { headers, tls: {} })
      const now = await askHttp2(session, { ':authority': 'none', ':path': '/x' })
      expect([now.status, now.body]).deep.equal([before.status, before.body])
      expect(fields(now)).deep.equal(fields(before))
    })

    it('to a body that nobody wants does not wait for it', async () => {
      gateway.addPlugin(addApi(), 'key-auth', { key_names: ['apikey'] })
      const stream = session.request({ ':authority': 'test', ':path': '/', ':method': 'POST' })
      // More than the window of a stream: it would never go out.
      stream.write(Buffer.alloc(1024 * 1024))
      const answered = await answerOf(stream)
      expect(answered).include({ status: 401, code: 0 })
      expect(upstream.requests).equal(0)
      await until(() => count('waiting') === 1)
      expect(await askHttp2(session)).include({ status: 401 })
    })
  })

  describe('what streams', () => {
    it('goes both ways at once, many requests on one connection', async () => {
      addApi()
      upstream.answer = (request, response) => request.pipe(response)
      const body = Buffer.alloc(1024 * 1024, 'troop')
      const all = Array.from({ length: 8 }, () => askHttp2(session, { ':method': 'POST' }, body))
      for (const answered of await Promise.all(all)) expect(answered.body === body.toString()).equal(true)
      expect(count('accepted')).equal(1)
      expect(open()).deep.equal([1, 0, 0, 1])
    })

    it('waits for an upstream that takes no more, and lets other requests pass', async () => {
      addApi()
      const taken = Promise.withResolvers<void>()
      upstream.answer = (request, response) => {
        if (request.method === 'GET') response.end('quick')
        else void taken.promise.then(() => request.resume().on('end', () => response.end('slow')))
      }
      const stream = session.request({ ':authority': 'test', ':path': '/', ':method': 'POST' })
      const slow = answerOf(stream)
      const size = 32 * 1024 * 1024
      stream.end(Buffer.alloc(size))
      expect((await askHttp2(session)).body).equal('quick')
      expect(stream.bufferSize).greaterThan(size / 2)
      taken.resolve()
      expect((await slow).body).equal('slow')
    })

    it('waits for a client that takes no more', async () => {
      addApi()
      let written = 0
      const size = 64 * 1024 * 1024
      const chunk = Buffer.alloc(64 * 1024)
      const stopped = Promise.withResolvers<void>()
      upstream.answer = (_request, response) => {
        const more = () => {
          while (written < size) {
            written += chunk.length
            if (!response.write(chunk)) {
              stopped.resolve()
              return
            }
          }
          response.end()
        }
        response.on('drain', more)
        more()
      }
      const stream = session.request({ ':authority': 'test', ':path': '/' })
      await once(stream, 'response')
      await stopped.promise
      expect((await askHttp2(session, { ':authority': 'none' })).status).equal(404)
      expect(written).lessThan(size / 2)
      let read = 0
      for await (const piece of stream) read += (piece as Buffer).length
      expect(read).equal(size)
    })
  })

  describe('what breaks off', () => {
    it('a client that resets a request takes the upstream request with it, and nothing else', async () => {
      addApi()
      const arrived = Promise.withResolvers<void>()
      const aborted = Promise.withResolvers<void>()
      upstream.answer = (request, response) => {
        if (request.url === '/quick') {
          response.end('quick')
          return
        }
        response.on('close', () => aborted.resolve())
        arrived.resolve()
      }
      const stream = session.request({ ':authority': 'test', ':path': '/slow' })
      await arrived.promise
      stream.close(8)
      await aborted.promise
      expect((await gateway.record()).response).include({ status: 499 })
      expect(await askHttp2(session, { ':path': '/quick' })).include({ body: 'quick' })
      expect(open()).deep.equal([1, 0, 0, 1])
    })

    it('so does one that resets within its body', async () => {
      addApi()
      const arrived = Promise.withResolvers<void>()
      const aborted = Promise.withResolvers<boolean>()
      upstream.answer = (request) => {
        request.once('data', () => arrived.resolve())
        request.on('close', () => aborted.resolve(request.complete))
      }
      // One without would end its body before it resets the stream.
      const stream = session.request(
        { ':authority': 'test', ':path': '/', ':method': 'POST' },
        { waitForTrailers: true },
      )
      stream.on('error', () => {})
      stream.write('some of it')
      await arrived.promise
      stream.close(8)
      expect(await aborted.promise).equal(false)
    })

    it('an answer that the upstream breaks off is a reset with INTERNAL_ERROR', async () => {
      addApi()
      upstream.answer = (_request, response) => {
        response.writeHead(200, { 'Content-Length': '10' })
        response.write('hello', () => response.destroy())
      }
      expect(await askHttp2(session)).include({ status: 200, body: 'hello', code: 2 })
      upstream.answer = undefined
      expect(await askHttp2(session)).include({ status: 200, code: 0 })
    })

    it('a client that is gone takes all of its requests with it', async () => {
      addApi()
      let closed = 0
      upstream.answer = (_request, response) => void response.on('close', () => closed++)
      for (let i = 0; i < 5; i++) void askHttp2(session, { ':path': `/${i}` })
      await until(() => upstream.requests === 5)
      session.destroy()
      await until(() => closed === 5)
      await until(() => count('active') === 0)
      expect(open()).deep.equal([0, 0, 0, 0])
    })
  })

  describe('limits', () => {
    const refusals = () => new Counters(gateway.counters).refusals

    it('more requests at once than a connection may have are refused, and wait', async () => {
      await restart({ limits: { streamsMax: 3 } })
      addApi()
      const settings = session.remoteSettings
      expect(settings.maxConcurrentStreams).equal(3)
      let most = 0
      let now = 0
      upstream.answer = (_request, response) => {
        most = Math.max(most, ++now)
        setImmediate(() => response.end('x', () => now--))
      }
      const all = await Promise.all(Array.from({ length: 20 }, () => askHttp2(session)))
      expect(all.every(({ status }) => status === 200)).equal(true)
      expect(most).within(1, 3)
    })

    it('more than all connections together may have are refused so that they can be sent again', async () => {
      await restart({ limits: { connectionsMax: 2 } })
      addApi()
      const answers: (() => void)[] = []
      upstream.answer = (_request, response) => void answers.push(() => response.end('x'))
      const first = [askHttp2(session), askHttp2(session)]
      await until(() => answers.length === 2)
      expect(await askHttp2(session)).include({ status: 0, code: 7 })
      for (const answer of answers) answer()
      await Promise.all(first)
      upstream.answer = undefined
      expect(await askHttp2(session)).include({ status: 200 })
    })

    it('a connection without requests is told goodbye, and closed', async () => {
      await restart({ limits: { idleMs: 100 } })
      addApi()
      await askHttp2(session)
      const [code] = await once(session, 'goaway')
      expect(code).equal(0)
      await until(() => count('active') === 0)
    })

    it('so is one that never asks anything', async () => {
      await restart({ limits: { headMs: 100 } })
      const socket = await connectTls(gateway.tlsPort, { ALPNProtocols: ['h2'] })
      await once(socket.resume(), 'close')
      await until(() => count('active') === 0)
    })

    it('an upload that stands still is 408, and the connection goes on', async () => {
      const still = { graceMs: 200, bytesPerSecond: 0 }
      await restart({ limits: { upload: still } })
      addApi()
      const stream = session.request({ ':authority': 'test', ':path': '/', ':method': 'POST' })
      stream.write('some')
      expect(await answerOf(stream)).include({ status: 408 })
      expect(refusals()).include({ 'slow-upload': 1 })
      expect(await askHttp2(session)).include({ status: 200 })
    })

    it('an answer that is not taken is reset, and the connection goes on', async () => {
      await restart({ limits: { download: { graceMs: 200, bytesPerSecond: 0 } } })
      addApi()
      upstream.answer = ({ url }, response) => response.end(Buffer.alloc(url === '/' ? 5 : 8 * 1024 * 1024))
      const stream = session.request({ ':authority': 'test', ':path': '/large' })
      stream.on('error', () => {})
      const [headers] = await once(stream, 'response')
      expect(headers).include({ ':status': 200 })
      await new Promise<void>((resolve) => stream.once('close', resolve))
      expect(stream.rstCode).equal(2)
      expect(refusals()).include({ 'slow-download': 1 })
      expect(await askHttp2(session)).include({ status: 200 })
    })
  })

  describe('draining', () => {
    it('lets open requests end, takes those that are on their way, and says which was the last', async () => {
      addApi()
      const answers: (() => void)[] = []
      upstream.answer = (_request, response) => void answers.push(() => response.end('x'))
      const goodbyes: [code: number, last: number][] = []
      session.on('goaway', (code, last) => goodbyes.push([code, last]))
      const first = askHttp2(session)
      await until(() => answers.length === 1)
      const drained = gateway.tlsInbound.drain()
      await until(() => goodbyes.length === 2)
      expect(goodbyes).deep.equal([
        [0, 2 ** 31 - 1],
        [0, 1],
      ])
      answers[0]?.()
      expect(await first).include({ status: 200, body: 'x' })
      await drained
      expect(open()).deep.equal([0, 0, 0, 0])
    })

    it('tells a client without a request at once which was the last, so that it can send again what is on its way', async () => {
      await askHttp2(session)
      const goodbyes: [code: number, last: number][] = []
      session.on('goaway', (code, last) => goodbyes.push([code, last]))
      await gateway.tlsInbound.drain()
      await until(() => session.destroyed)
      expect(goodbyes).deep.equal([[0, 1]])
    })

    it('does not wait for a client that has no request and says nothing', async () => {
      const socket = await connectTls(gateway.tlsPort, { ALPNProtocols: ['h2'] })
      await until(() => count('active') === 2)
      session.destroy()
      await gateway.tlsInbound.drain()
      expect(count('active')).equal(0)
      socket.destroy()
    })

    it('stop cuts what has not ended by its grace', async () => {
      await restart({ graceMs: 50 })
      addApi()
      upstream.answer = () => {}
      const waiting = askHttp2(session)
      await until(() => upstream.requests === 1)
      await gateway.tlsInbound.stop()
      expect(await waiting).include({ status: 0 })
      expect((await gateway.record()).response).include({ status: 499 })
    })
  })
})
