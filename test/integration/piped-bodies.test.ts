// Bodies that a plugin changes as they pass, on real sockets.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import type { Row } from '../../src/base/json.ts'
import type { BodyPipe, Phases } from '../../src/plugins/plugin.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { pluginPair } from '../support/plugin-pair.ts'
import { type Answered, ask, exchange } from '../support/raw-http.ts'

const upper: BodyPipe = async function* (body) {
  for await (const chunk of body) yield Buffer.from(chunk.toString().toUpperCase())
}
const framed: BodyPipe = async function* (body) {
  yield Buffer.from('<')
  yield* body
  yield Buffer.from('>')
}
const failing: BodyPipe = async function* (body) {
  for await (const chunk of body) {
    yield chunk
    throw new Error('no more of this')
  }
}

describe('a body that a plugin changes as it passes', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row
  let first: Phases
  let second: Phases

  before(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway({
      plugins: pluginPair(
        () => first,
        () => second,
      ),
    }).start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    for (const name of ['first', 'second', 'recorder']) gateway.addPlugin(api, name)
  })
  after(async () => {
    await gateway.stop()
    await upstream.stop()
  })
  beforeEach(() => {
    first = second = {}
    upstream.answer = undefined
    gateway.records.length = gateway.lines.length = 0
  })

  const get = (...headers: string[]) => ask(gateway.port, '/', { headers: ['Host', 'test', ...headers] })
  const post = (body: string, ...headers: string[]) =>
    ask(gateway.port, '/', { method: 'POST', headers: ['Host', 'test', ...headers], body })
  const answers = (...pipes: BodyPipe[]): Phases => ({
    headers(response) {
      for (const pipe of pipes) response.pipeBody(pipe)
    },
  })
  const asks = (...pipes: BodyPipe[]): Phases => ({
    access(request) {
      for (const pipe of pipes) request.pipeBody(pipe)
      return undefined
    },
  })
  const says =
    (body: string | Buffer, headers: Record<string, string> = {}) =>
    (_request: IncomingMessage, response: ServerResponse) =>
      void response.writeHead(200, { 'content-length': Buffer.byteLength(body), ...headers }).end(body)
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen

  describe('of a response', () => {
    it('goes on in chunks, through one plugin after the other', async () => {
      upstream.answer = says('hello', { etag: '"1"', 'content-md5': 'x' })
      first = answers(upper)
      second = answers(framed)
      const { body, headers } = await get()
      expect(body).to.equal('<HELLO>')
      expect(headers).to.include({ 'transfer-encoding': 'chunked', etag: '"1"' })
      expect(headers).not.to.have.any.keys('content-length', 'content-md5')
    })

    it('goes on at once, before the upstream has said all', async () => {
      let finish = () => {}
      upstream.answer = (_request, response) => {
        response.writeHead(200).write('one ')
        finish = () => response.end('two')
      }
      first = answers(upper)
      const response = await fetch(`http://127.0.0.1:${gateway.port}/`, {
        headers: { 'x-host-override': 'test' },
      })
      const reader = (response.body as ReadableStream<Uint8Array>).getReader()
      const piece = async () => new TextDecoder().decode((await reader.read()).value)
      expect(await piece()).to.equal('ONE ')
      finish()
      expect(await piece()).to.equal('TWO')
      expect((await reader.read()).done).to.equal(true)
    })

    it('is given decoded, and goes on uncoded', async () => {
      upstream.answer = says(gzipSync('hello'), { 'content-encoding': 'gzip' })
      first = answers(upper)
      const { body, headers } = await get()
      expect([body, headers['content-encoding']]).to.deep.equal(['HELLO', undefined])
    })

    it('that is coded in a way that nobody knows makes a 502', async () => {
      upstream.answer = says('hello', { 'content-encoding': 'rot13' })
      first = answers(upper)
      expect((await get()).status).to.equal(502)
    })

    const broken: Record<string, [BodyPipe, Buffer | string, Record<string, string>]> = {
      'when the plugin fails': [failing, 'hello', {}],
      'when it can not be decoded': [upper, 'hello', { 'content-encoding': 'gzip' }],
      'when the plugin gives what are no bytes': [
        async function* () {
          yield 'text' as unknown as Uint8Array
        },
        'hello',
        {},
      ],
    }
    for (const [when, [pipe, body, headers]] of Object.entries(broken)) {
      it(`is cut off ${when}, so that nobody takes it for whole, and the gateway goes on`, async () => {
        upstream.answer = says(body, headers)
        first = answers(pipe)
        const reply = await exchange(
          gateway.port,
          'GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n',
        )
        expect(reply).to.match(/^HTTP\/1.1 200 /)
        expect(reply).not.to.match(/0\r\n\r\n$/)
        first = {}
        expect((await get()).status).to.equal(200)
      })
    }

    it('breaks off for the plugin when the upstream breaks off, and for the client', async () => {
      let told: unknown
      upstream.answer = (_request, response) => {
        response.writeHead(200).write('he', () => response.destroy())
      }
      first = answers(async function* (body) {
        try {
          yield* body
        } catch (error) {
          told = error
          throw error
        }
      })
      const reply = await exchange(gateway.port, 'GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n')
      expect(reply).not.to.match(/0\r\n\r\n$/)
      expect(String(told)).to.match(/broke off/)
    })

    it('is read no faster than the client takes it, and the plugin holds none of it', async () => {
      const piece = Buffer.alloc(64 * 1024, 'x')
      let given = 0
      upstream.answer = (_request, response) => {
        response.writeHead(200)
        const more = () => {
          while (given < 256 * 1024 * 1024) {
            given += piece.length
            if (!response.write(piece)) return void response.once('drain', more)
          }
        }
        more()
      }
      first = answers(upper)
      const response = await fetch(`http://127.0.0.1:${gateway.port}/`, {
        headers: { 'x-host-override': 'test' },
      })
      // What the sockets take, and then no more: the same twice in a row.
      let before = -1
      await until(async () => {
        const same = given === before
        before = given
        await new Promise((resolve) => setTimeout(resolve, 200))
        return same && given > 0
      })
      expect(given).to.be.below(64 * 1024 * 1024)
      await response.body?.cancel()
    })

    it('ends where the plugin has seen enough, and the upstream is not listened to any more', async () => {
      let closed = false
      upstream.answer = (_request, response) => {
        response.on('close', () => {
          closed = true
        })
        response.writeHead(200).write('hello')
      }
      first = answers(async function* (body) {
        for await (const chunk of body) return void (yield chunk.subarray(0, 2))
      })
      expect((await get()).body).to.equal('he')
      await until(() => closed)
    })

    it('is held where another plugin wants all of it, each in turn', async () => {
      upstream.answer = says('hello')
      first = answers(upper)
      second = { headers: (response) => response.changeBody((body) => Buffer.from(`${body}!`)) }
      const { body, headers } = await get()
      expect([body, headers['content-length']]).to.deep.equal(['HELLO!', '6'])
    })

    it("that is the gateway's own is changed as well", async () => {
      first = { access: () => ({ status: 403, body: 'no' }), ...answers(upper) }
      const { status, body, headers } = await get()
      expect([status, body, headers['content-length']]).to.deep.equal([403, 'NO', '2'])
    })

    it('that there is none of is left alone', async () => {
      first = answers(framed)
      const { body, headers } = await ask(gateway.port, '/', { method: 'HEAD', headers: ['Host', 'test'] })
      expect([body, headers['content-length']]).to.deep.equal(['', undefined])
    })
  })

  describe('of a request', () => {
    it('goes upstream in chunks, through one plugin after the other', async () => {
      first = asks(upper)
      second = asks(framed)
      const { body, headers } = seen(await post('hello'))
      expect([body, headers['transfer-encoding'], headers['content-length']]).to.deep.equal([
        '<HELLO>',
        'chunked',
        undefined,
      ])
      expect((await gateway.record()).request).to.include({ method: 'POST' })
    })

    it('that there is none of is left alone', async () => {
      first = asks(framed)
      const { body, headers } = seen(await get())
      expect([body, headers['transfer-encoding']]).to.deep.equal(['', undefined])
    })

    it('is what a later plugin reads, and what is set in its place goes upstream', async () => {
      first = asks(upper)
      second = {
        async access(request) {
          request.setBody(Buffer.from(`${await request.readBody()}!`))
          return undefined
        },
      }
      const { body, headers } = seen(await post('hello'))
      expect([body, headers['content-length']]).to.deep.equal(['HELLO!', '6'])
    })

    it('is made of what an earlier plugin has set', async () => {
      first = {
        access(request) {
          request.setBody(Buffer.from('given'))
          return undefined
        },
      }
      second = asks(framed)
      expect(seen(await post('hello')).body).to.equal('<given>')
    })

    it('is bounded by what the client sends', async () => {
      first = {
        access(request) {
          request.bodyLimit = { bytesMax: 3, answer: { status: 413, body: { message: 'less' } } }
          return undefined
        },
      }
      second = asks(framed)
      expect((await post('abc')).status).to.equal(200)
      const { status, body } = await post('abcd')
      expect([status, JSON.parse(body)]).to.deep.equal([413, { message: 'less' }])
    })

    it('that the plugin can not go on with makes a 500, and never a whole request', async () => {
      first = asks(failing)
      const before = upstream.seen.length
      expect((await post('hello')).status).to.equal(500)
      expect(upstream.seen.length).to.equal(before)
      first = {}
      expect((await post('hello')).status).to.equal(200)
    })

    it('may end early for the plugin: the rest of what the client sends goes nowhere', async () => {
      first = asks(async function* (body) {
        for await (const chunk of body) return void (yield chunk.subarray(0, 2))
      })
      expect(seen(await post('hello')).body).to.equal('he')
    })
  })
})
