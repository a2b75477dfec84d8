// request-size-limiting on real sockets: what the client sees, and what the upstream must never take for complete.
import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { definePlugin } from '../../src/plugins/plugin.ts'
import { Counters } from '../../src/proxy/counters.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { type Answered, ask, connect, exchange } from '../support/raw-http.ts'

const mebibyte = 1024 * 1024
const message = { message: 'Request size limit exceeded' }

describe('request-size-limiting', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row
  let plugin: Row

  beforeEach(() => start())
  afterEach(() => stop())

  async function start(options: TestGatewayOptions = {}): Promise<void> {
    upstream = await new Upstream().start()
    gateway = await new TestGateway(options).start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    plugin = gateway.addPlugin(api, 'request-size-limiting', { allowed_payload_size: 1 })
    gateway.addPlugin(api, 'recorder')
  }

  async function stop(): Promise<void> {
    await gateway.stop()
    await upstream.stop()
  }

  const configure = (config: JsonObject) => gateway.catalog.put('plugins', { ...plugin, config })
  const post = (body: string | Buffer, ...headers: string[]) =>
    ask(gateway.port, '/', { method: 'POST', headers: ['Host', 'test', ...headers], body })
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen
  const counts = () => {
    const counters = new Counters(gateway.counters)
    return { requests: counters.get('requests'), accepted: counters.get('accepted') }
  }
  const told = ({ status, body }: Answered) => [status, JSON.parse(body)]

  /** A request in chunks, on a connection of its own. `reply` is all that comes back before it is closed. */
  async function upload(...headers: string[]) {
    const socket = await connect(gateway.port)
    socket.on('error', () => {})
    const head = ['POST / HTTP/1.1', 'Host: test', 'Transfer-Encoding: chunked', ...headers]
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    return {
      socket,
      reply: allOf(socket),
      chunk: (bytes: number) => socket.write(`${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n`),
      end: () => socket.write('0\r\n\r\n'),
    }
  }

  /** What an upstream that answers by `answer` gets of a request: its bytes, and how it ended. */
  function watchUpstream(answer: (request: IncomingMessage, response: ServerResponse) => void = () => {}) {
    const watched = { bytes: 0, ended: false, broken: Promise.withResolvers<void>() }
    upstream.answer = (request, response) => {
      request.on('data', (chunk: Buffer) => {
        watched.bytes += chunk.length
      })
      request.on('end', () => {
        watched.ended = true
      })
      request.on('error', () => watched.broken.resolve())
      answer(request, response)
    }
    return watched
  }

  describe('lets pass', () => {
    it('a small body, with and without Expect, with and without Content-Length, and none [contract 378]', async () => {
      expect(seen(await post('foo=test')).body).equal('foo=test')
      const expecting = await exchange(
        gateway.port,
        'POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
      )
      expect(expecting).match(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
      for (const headers of [[], ['Expect: 100-continue']]) {
        const { chunk, end, reply } = await upload('Connection: close', ...headers)
        chunk(4)
        end()
        expect(await reply)
          .match(/HTTP\/1\.1 200 OK\r\n/)
          .include('"body":"xxxx"')
      }
      expect((await ask(gateway.port, '/')).status).equal(200)
    })

    it('MiB to the byte, and parts of one', async () => {
      expect((await post(Buffer.alloc(mebibyte, 'x'))).status).equal(200)
      expect((await post(Buffer.alloc(mebibyte + 1))).status).equal(413)
      configure({ allowed_payload_size: 0.5 })
      expect((await post(Buffer.alloc(mebibyte / 2, 'x'))).status).equal(200)
      expect((await post(Buffer.alloc(mebibyte / 2 + 1))).status).equal(413)
      configure({ allowed_payload_size: 0 })
      expect((await post('')).status).equal(200)
      expect((await post('1')).status).equal(413)
    })

    it('chunks up to the very limit, and trailers after them', async () => {
      const { socket, chunk, reply } = await upload('Connection: close', 'Trailer: X-Sum')
      chunk(mebibyte)
      socket.write('0\r\nX-Sum: 1\r\n\r\n')
      expect(await reply)
        .match(/^HTTP\/1\.1 200 /)
        .include('"x-sum":"1"')
    })

    it('each chunk as it comes, holding none back', async () => {
      const chunks: string[] = []
      const arrived = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      upstream.answer = (request, response) => {
        request.on('data', (chunk: Buffer) => arrived[chunks.push(String(chunk)) - 1]?.resolve())
        request.on('end', () => response.end('whole'))
      }
      const { chunk, end, reply } = await upload('Connection: close')
      for (const { promise } of arrived) {
        chunk(5)
        await promise
      }
      end()
      expect(await reply).include('whole')
      expect(chunks).deep.equal(['xxxxx', 'xxxxx'])
    })
  })

  describe('refuses a length over the limit', () => {
    const big = 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 12000000\r\n'

    it('with 413, or with 417 where 100 Continue is expected, which is never sent [contract 379]', async () => {
      configure({ allowed_payload_size: 10 })
      const plain = await exchange(gateway.port, `${big}\r\n`)
      const expecting = await exchange(gateway.port, `${big}Expect: 100-continue\r\n\r\n`)
      expect(plain).match(/^HTTP\/1\.1 413 Payload Too Large\r\n/)
      expect(expecting).match(/^HTTP\/1\.1 417 Expectation Failed\r\n/)
      for (const reply of [plain, expecting]) {
        expect(reply)
          .match(/\r\nConnection: close\r\n/)
          .match(/\r\nContent-Type: application\/json; charset=utf-8\r\n/)
          .match(/\r\n\r\n\{"message":"Request size limit exceeded"\}\n$/)
      }
      expect(upstream.connections, 'that the upstream saw').equal(0)
    })

    it('also when the client sends all of its body before it reads a byte', async () => {
      const socket = await connect(gateway.port)
      const failed = Promise.withResolvers<never>()
      socket.on('error', failed.reject)
      // Bytes that nobody reads fill what the system keeps for a connection, several times over.
      const body = Buffer.alloc(12_000_000)
      socket.pause()
      socket.write(`${big}\r\n`)
      const written = new Promise<void>((resolve) => socket.write(body, () => resolve()))
      await Promise.race([written, failed.promise])
      expect(await Promise.race([allOf(socket), failed.promise])).match(/^HTTP\/1\.1 413 .*\}\n$/s)
    })

    it('and hears a client that goes on sending only for a while', async () => {
      await stop()
      await start({ inboundTimeoutMs: 200 })
      const socket = await connect(gateway.port)
      socket.on('error', () => {})
      socket.write(`${big}\r\n`)
      const reply = allOf(socket)
      const closed = once(socket, 'close')
      const trickle = setInterval(() => socket.write('x'), 20)
      await closed
      clearInterval(trickle)
      expect(await reply).match(/^HTTP\/1\.1 413 /)
    })

    it('in the record, too, at the time at which the client had its answer', async () => {
      const socket = await connect(gateway.port)
      socket.write(`${big}\r\n`)
      const record = await gateway.record()
      expect(record.response).include({ status: 413 })
      socket.destroy()
    })
  })

  describe('counts a body without a length', () => {
    it('413 and the end of the connection; what went upstream is broken off, within the limit', async () => {
      const watched = watchUpstream()
      const { chunk, end, reply } = await upload()
      for (let i = 0; i < 40; i++) chunk(64 * 1024)
      end()
      expect(await reply)
        .match(/^HTTP\/1\.1 413 Payload Too Large\r\n/)
        .match(/\r\nConnection: close\r\n/)
        .include(JSON.stringify(message))
      await watched.broken.promise
      expect(watched).include({ ended: false })
      expect(watched.bytes).greaterThan(0).most(mebibyte)
      expect((await gateway.record()).response).include({ status: 413 })
    })

    it('to the byte, in whatever pieces it comes', async () => {
      for (const pieces of [[mebibyte, 1], [1, mebibyte], [mebibyte + 1], [mebibyte - 1, 1, 1]]) {
        const watched = watchUpstream()
        const { chunk, end, reply } = await upload()
        for (const bytes of pieces) chunk(bytes)
        end()
        expect(await reply, String(pieces)).match(/^HTTP\/1\.1 413 /)
        await watched.broken.promise
        expect(watched.ended).equal(false)
        expect(watched.bytes).most(mebibyte)
      }
    })

    it('100 Continue is sent, since the size is not known, and 417 once it is', async () => {
      watchUpstream()
      const { socket, chunk, reply } = await upload('Expect: 100-continue')
      await once(socket, 'data')
      for (let i = 0; i < 40; i++) chunk(64 * 1024)
      expect(await reply).match(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 417 .*\}\n$/s)
    })

    it('a reply that has begun is cut off, so that nobody takes it for a whole one', async () => {
      const watched = watchUpstream((_request, response) => {
        response.writeHead(200)
        response.write('some')
      })
      const { socket, chunk, reply } = await upload()
      chunk(10)
      await once(socket, 'data')
      for (let i = 0; i < 40; i++) chunk(64 * 1024)
      expect(await reply)
        .match(/^HTTP\/1\.1 200 /)
        .not.match(/0\r\n\r\n$/)
      await watched.broken.promise
      expect(watched.ended).equal(false)
    })

    it('a reply that was complete before stands', async () => {
      upstream.answer = (request, response) => {
        request.once('data', () => response.end('enough'))
      }
      const { socket, chunk, end, reply } = await upload('Connection: close')
      chunk(10)
      await once(socket, 'data')
      for (let i = 0; i < 40; i++) chunk(64 * 1024)
      end()
      expect(await reply).match(/^HTTP\/1\.1 200 .*enough/s)
    })

    it('the connection to the upstream goes to nobody else after that', async () => {
      watchUpstream()
      const { chunk, reply } = await upload()
      for (let i = 0; i < 40; i++) chunk(64 * 1024)
      await reply
      upstream.answer = undefined
      expect(seen(await post('small')).body).equal('small')
      expect(upstream.connections).equal(2)
    })
  })

  it('a consumer may have a limit of his own', async () => {
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    const bob = gateway.addConsumer('bob')
    gateway.addKey(bob, 'bobs')
    gateway.addKey(gateway.addConsumer('eve'), 'eves')
    gateway.addPlugin(api, 'request-size-limiting', { allowed_payload_size: 2 }, bob)
    const body = Buffer.alloc(1.5 * mebibyte, 'x')
    expect((await post(body, 'apikey', 'bobs')).status).equal(200)
    expect(told(await post(body, 'apikey', 'eves'))).deep.equal([413, message])
  })

  it('a lower limit that another plugin has set stays', async () => {
    await stop()
    const answer = { status: 400, body: { message: 'ten at most' } }
    const strict = definePlugin({
      name: 'strict',
      priority: 951,
      phases: {
        access(request) {
          request.bodyLimit = { bytesMax: 10, answer }
          return undefined
        },
      },
    })
    await start({ plugins: [strict] })
    gateway.addPlugin(api, 'strict')
    watchUpstream()
    const { chunk, reply } = await upload('Connection: close')
    chunk(11)
    expect(await reply).match(/^HTTP\/1\.1 400 .*ten at most/s)
  })

  it('pipelined requests before it are answered first', async () => {
    const first = 'GET /first HTTP/1.1\r\nHost: test\r\n\r\n'
    const reply = await exchange(
      gateway.port,
      `${first}POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9999999\r\n\r\n`,
    )
    expect(reply).match(/^HTTP\/1\.1 200 .*"url":"\/first".*HTTP\/1\.1 413 .*\}\n$/s)
  })

  it('what a client sends after it is not taken for a request, though it came along', async () => {
    configure({ allowed_payload_size: 0 })
    // Leaves a connection to the upstream, so that the next request could go there at once.
    await ask(gateway.port, '/')
    const { requests } = counts()
    const next = 'GET /next HTTP/1.1\r\nHost: test\r\n\r\n'
    const reply = await exchange(
      gateway.port,
      `POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello${next}${next}`,
    )
    expect(reply).match(/^HTTP\/1\.1 413 .*\}\n$/s)
    expect(upstream.requests).equal(1)
    expect(counts().requests - requests, 'that were handled').equal(1)
  })

  it('a connection goes on after requests that are not too large', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    for (let i = 0; i < 3; i++) {
      expect((await ask(gateway.port, '/', { method: 'POST', body: 'small', agent })).status).equal(200)
    }
    agent.destroy()
    expect(counts().accepted).equal(1)
  })
})

/** All that comes before the other side closes. */
async function allOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(chunks).toString('latin1')
}
