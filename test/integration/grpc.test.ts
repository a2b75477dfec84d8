// gRPC through the gateway, on real sockets: a client and a server of @grpc/grpc-js at its ends.
import { once } from 'node:events'
import { status } from '@grpc/grpc-js'
import { expect } from 'chai'
import type { Row } from '../../src/base/json.ts'
import { type Counter, Counters } from '../../src/proxy/counters.ts'
import { Trust } from '../../src/proxy/outbound/trust.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { certificate } from '../support/certificate.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { GrpcClient, GrpcServer, tlsCredentials } from '../support/grpc-server.ts'
import { askHttp2, connectHttp2 } from '../support/http2-client.ts'
import { until } from '../support/log.ts'
import { ask } from '../support/raw-http.ts'

describe('gRPC through the gateway', () => {
  let server: GrpcServer
  let gateway: TestGateway
  let client: GrpcClient

  beforeEach(async () => {
    server = await new GrpcServer().start()
    gateway = await new TestGateway().start()
    client = new GrpcClient(gateway.tlsPort)
  })

  afterEach(async () => {
    client.close()
    server.stop()
    await gateway.stop()
  })

  async function restart(options: TestGatewayOptions): Promise<void> {
    client.close()
    await gateway.stop()
    gateway = await new TestGateway(options).start()
    client = new GrpcClient(gateway.tlsPort)
  }

  function addApi(row: Row = {}): Row {
    const upstream_url = `grpc://127.0.0.1:${server.port}`
    const api = gateway.addApi({ request_host: 'test', upstream_url, ...row })
    gateway.addPlugin(api, 'recorder')
    return api
  }

  const count = (counter: Counter) => new Counters(gateway.counters).get(counter)

  describe('calls', () => {
    it('one message each way, with metadata before and after', async () => {
      addApi()
      const told = await client.one('one', 'hello', { 'x-answer': 'yes', 'x-asked': 'a' })
      expect(told).include({ message: 'hello', code: status.OK })
      expect(told.headers?.get('x-header')).deep.equal(['yes'])
      expect(told.headers?.get('x-bytes-bin')).deep.equal([Buffer.from([0, 255])])
      expect(told.headers?.get('via')).deep.equal(['troop/1.2.3'])
      expect(told.trailers.get('x-trailer')).deep.equal(['after'])
      expect(server.calls[0]?.get('x-asked')).deep.equal(['a'])
      expect(server.calls[0]?.get('x-forwarded-proto')).deep.equal(['https'])
      const { request, response } = await gateway.record()
      expect(request).include({ method: 'POST', uri: '/test.Echo/one' })
      expect(response).include({ status: 200 })
    })

    it('many messages for one, and one for many', async () => {
      addApi()
      const messages: string[] = []
      for await (const message of client.many(500)) messages.push(String(message))
      expect(messages).deep.equal(Array.from({ length: 500 }, (_, i) => `${i}`))
      expect(await client.collect(Array.from({ length: 100 }, () => Buffer.alloc(10_000)))).equal('1000000')
    })

    it('messages in both directions at once, each passed on as it comes', async () => {
      addApi()
      const call = client.both()
      for (const message of ['one', 'two', 'three']) {
        call.write(Buffer.from(message))
        expect(String((await once(call, 'data'))[0])).equal(`told ${message}`)
      }
      call.end()
      const [{ code }] = await once(call.resume(), 'status')
      expect(code).equal(status.OK)
    })

    it('a large message', async () => {
      addApi()
      const message = Buffer.alloc(16 * 1024 * 1024, 'troop')
      const told = await client.one('one', message)
      expect(told.message === message.toString()).equal(true)
    })

    it('a status that is an error, with its text', async () => {
      addApi()
      const told = await client.one('fail', 'x')
      expect(told).include({ code: status.FAILED_PRECONDITION, details: 'nö: 100 %' })
    })

    it('a method that the server does not have', async () => {
      addApi()
      expect(await client.one('nobody', 'x')).include({ code: status.UNIMPLEMENTED })
      expect((await gateway.record()).response).include({ status: 200 })
    })

    it('a server that shows a certificate', async () => {
      const secure = await new GrpcServer().start(tlsCredentials())
      await restart({ outbound: { trust: new Trust({ authorities: certificate }) } })
      addApi({ upstream_url: `grpcs://localhost:${secure.port}` })
      expect(await client.one('one', 'hello')).include({ message: 'hello', code: status.OK })
      secure.stop()
    })
  })

  describe('calls that do not end by themselves', () => {
    it('one whose deadline has passed is cancelled at the server', async () => {
      addApi()
      const told = await client.one('wait', 'x', {}, { deadline: Date.now() + 300 })
      expect(told).include({ code: status.DEADLINE_EXCEEDED })
      await until(() => server.cancelled === 1)
      expect((await gateway.record()).response).include({ status: 499 })
    })

    it('so is one that the client cancels', async () => {
      addApi()
      const told = client.one('wait', 'x', {}, {}, (call) => {
        void until(() => server.calls.length === 1).then(() => call.cancel())
      })
      expect(await told).include({ code: status.CANCELLED })
      await until(() => server.cancelled === 1)
    })

    it('one that the server says nothing to is DEADLINE_EXCEEDED, as a time-out of the gateway', async () => {
      await restart({ outbound: { timeouts: { readMs: 200 } } })
      addApi()
      expect(await client.one('wait', 'x')).include({ code: status.DEADLINE_EXCEEDED })
      expect((await gateway.record()).response).include({ status: 504 })
      expect(await client.one('one', 'x')).include({ code: status.OK })
    })

    it('one whose server goes away is UNAVAILABLE', async () => {
      addApi()
      const told = client.one('wait', 'x')
      await until(() => server.calls.length === 1)
      server.stop()
      expect((await told).code).equal(status.UNAVAILABLE)
      expect((await gateway.record()).response).include({ status: 502 })
      expect(await client.one('one', 'x')).include({ code: status.UNAVAILABLE })
    })
  })

  describe('what the gateway says itself', () => {
    it('is a status of gRPC with its text, while records and counters have that of HTTP', async () => {
      gateway.addPlugin(addApi(), 'key-auth', { key_names: ['apikey'] })
      const told = await client.one('one', 'x')
      expect(told).include({
        code: status.UNAUTHENTICATED,
        details: 'No API Key found in headers, body or querystring',
      })
      expect(told.trailers.get('www-authenticate')).have.length(1)
      expect((await gateway.record()).response).include({ status: 401 })
      expect(await client.one('one', 'x', { apikey: 'wrong' })).include({ code: status.PERMISSION_DENIED })
      const consumer = gateway.addConsumer('jan')
      gateway.addKey(consumer, 'right')
      expect(await client.one('one', 'x', { apikey: 'right' })).include({ code: status.OK })
      expect(server.calls[0]?.get('x-consumer-username')).deep.equal(['jan'])
    })

    it('is one head and nothing else', async () => {
      const session = await connectHttp2(gateway.tlsPort)
      const headers = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' }
      const answered = await askHttp2(session, headers, 'x')
      session.destroy()
      expect(answered).include({ status: 200, body: '', trailers: undefined })
      expect(answered.headers).include({
        'content-type': 'application/grpc',
        'grpc-status': '12',
        'grpc-message': 'API not found with these values',
      })
      expect(answered.headers).not.have.property('content-length')
    })

    it('to a client of HTTP/1.1 is 426, and to one of HTTP/2 that speaks no gRPC what the server says', async () => {
      addApi()
      const told = await ask(gateway.tlsPort, '/', { tls: {} })
      expect([told.status, told.body]).deep.equal([426, '{"message":"Please use HTTP2 protocol"}\n'])
      expect(told.headers).include({ upgrade: 'HTTP/2' })
      const session = await connectHttp2(gateway.tlsPort)
      expect(await askHttp2(session, { ':method': 'POST' }, 'x')).include({ status: 415 })
      session.destroy()
    })

    it('an upstream that speaks HTTP/1.1 is no gRPC server', async () => {
      const plain = await new Upstream().start()
      addApi({ upstream_url: plain.url.replace('http', 'grpc') })
      expect(await client.one('one', 'x')).include({ code: status.UNAVAILABLE })
      expect((await gateway.record()).response).include({ status: 502 })
      await plain.stop()
    })
  })

  describe('connections to a server', () => {
    it('are shared by calls, and closed when none needs them', async () => {
      await restart({ outbound: { idleMs: 100, timeouts: { readMs: 400 } } })
      addApi()
      const calls = Array.from({ length: 20 }, () => client.one('one', 'x'))
      for (const told of await Promise.all(calls)) expect(told.code).equal(status.OK)
      expect([count('upstreamOpened'), count('upstreamReused')]).deep.equal([1, 19])
      expect([count('upstreamOpen'), count('upstreamInUse')]).deep.equal([1, 0])
      await until(() => count('upstreamOpen') === 0)
    })
  })
})
