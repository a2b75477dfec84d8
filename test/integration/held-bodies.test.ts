// Bodies that a plugin has to see whole, on real sockets; all others pass as they come (proxy.test.ts).

import type { IncomingMessage, ServerResponse } from 'node:http'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect } from 'chai'
import type { Row } from '../../src/base/json.ts'
import { type Phases, Refusal } from '../../src/plugins/plugin.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { pluginPair } from '../support/plugin-pair.ts'
import { type Answered, type Asked, connect } from '../support/raw-http.ts'
import { inEachWay } from '../support/ways.ts'

/** Much less than the setting's default. */
const heldBytesMax = 100_000

inEachWay('a body that a plugin sees whole', (way) => {
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row
  /** Of the plugins `first` and `second`, as the test at hand has them. */
  let first: Phases
  let second: Phases

  before(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway({
      lane: way.lane,
      heldBytesMax,
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
    gateway.records.length = 0
  })

  const ask = (target: string, asked?: Asked) => way.ask(gateway, target, asked)
  const post = (body: string | Buffer) => ask('/', { method: 'POST', body })
  const postInPieces = (...body: string[]) => ask('/', { method: 'POST', body })
  const get = (...headers: string[]) => ask('/', { headers: ['Host', 'test', ...headers] })
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen

  describe('of a request', () => {
    const bodies: string[] = []
    const reads = (bytesMax?: number): Phases => ({
      async access(request) {
        bodies.push((await request.readBody(bytesMax)).toString())
        return undefined
      },
    })
    const makes = (make: (body: string) => string): Phases => ({
      async access(request) {
        request.setBody(Buffer.from(make((await request.readBody()).toString())))
        return undefined
      },
    })
    beforeEach(() => bodies.splice(0))

    it('goes upstream as it came, by length or in chunks with trailers', async () => {
      first = reads()
      second = reads()
      const sized = seen(await post('hello'))
      expect([sized.body, sized.headers['content-length']]).deep.equal(['hello', '5'])
      const pieces = { body: ['he', 'llo'], trailers: ['X-Sum', '7'] }
      const { body, headers, trailers } = seen(await ask('/', { method: 'POST', ...pieces }))
      expect([body, headers['transfer-encoding'], trailers]).deep.equal([
        'hello',
        'chunked',
        { 'x-sum': '7' },
      ])
      expect(bodies).deep.equal(['hello', 'hello', 'hello', 'hello'])
    })

    it('is empty where there is none', async () => {
      first = reads()
      const { body, headers } = seen(await get())
      expect([bodies, body, 'content-length' in headers]).deep.equal([[''], '', false])
    })

    it('is replaced with the length that fits, each plugin seeing what the one before it made', async () => {
      first = makes((body) => `${body} world`)
      second = makes((body) => `${body}!`)
      const sized = seen(await post('hello'))
      expect([sized.body, sized.headers['content-length']]).deep.equal(['hello world!', '12'])
      const pieces = { body: ['hello'], trailers: ['X-Sum', '7'] }
      const { body, headers, trailers } = seen(await ask('/', { method: 'POST', ...pieces }))
      expect(body).equal('hello world!')
      expect(headers).include({ 'content-length': '12' }).not.have.any.keys('transfer-encoding', 'trailer')
      expect(trailers).deep.equal({})
    })

    it('may be taken away, or given to a request that had none', async () => {
      first = makes(() => '')
      const emptied = seen(await post('hello'))
      expect([emptied.body, emptied.headers['content-length']]).deep.equal(['', '0'])
      first = makes(() => 'given')
      const given = seen(await get())
      expect([given.body, given.headers['content-length']]).deep.equal(['given', '5'])
    })

    it('may be replaced unseen, and what the client sends is then forgotten', async () => {
      first = {
        access(request) {
          request.setBody(Buffer.from('other'))
          return undefined
        },
      }
      expect(seen(await post(Buffer.alloc(1_000_000))).body).equal('other')
    })

    const replacesTheRest: Phases = {
      async access(request) {
        await request.readBody(10).catch(() => {})
        request.setBody(Buffer.from('other'))
        return undefined
      },
    }

    it('may be replaced when only its beginning was seen', async () => {
      first = replacesTheRest
      const body = 'x'.repeat(50_000)
      expect(seen(await postInPieces(body, body)).body).equal('other')
    })

    // Over HTTP/2 nothing is behind a body but its own stream.
    if (!way.isHttp2)
      it('so replaced, leaves the request that was sent behind it as it is', async () => {
        first = replacesTheRest
        const piece = `c350\r\n${'x'.repeat(50_000)}\r\n`
        const socket = await connect(gateway.port)
        const head = 'POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n'
        const request = (end: string) => socket.write(`${head}${end}\r\n${piece}${piece}0\r\n\r\n`)
        request('')
        request('Connection: close\r\n')
        const replies = (await socket.toArray()).join('')
        expect(replies.match(/"body":"other"/g)).length(2)
      })

    it('is refused when it is larger than may be held, announced or not, before anything goes upstream', async () => {
      first = reads()
      const asked = upstream.requests
      const refused = await post(Buffer.alloc(heldBytesMax + 1))
      const ends = way.isHttp2 ? undefined : 'close'
      expect([refused.status, refused.headers.connection]).deep.equal([413, ends])
      const { status, body } = await postInPieces('x'.repeat(heldBytesMax), 'x')
      expect([status, body.slice(-2)]).deep.equal([413, '}\n'])
      expect(upstream.requests).equal(asked)
      expect(seen(await post('x'.repeat(heldBytesMax))).body).length(heldBytesMax)
    })

    it('may be bounded by the plugin, too, and by a limit that another plugin has set', async () => {
      first = reads(4)
      expect((await post('hello')).status).equal(413)
      expect((await post('hell')).status).equal(200)
      first = {
        access(request) {
          request.bodyLimit = { bytesMax: 3, answer: { status: 400, body: { message: 'three at most' } } }
          return undefined
        },
      }
      second = reads()
      expect((await post('hell')).body).equal('{"message":"three at most"}\n')
      expect((await postInPieces('he', 'll')).status).equal(400)
    })

    it('that was read before a limit was set is held against it', async () => {
      first = reads()
      second = {
        access(request) {
          request.bodyLimit = { bytesMax: 3, answer: { status: 400, body: { message: 'three at most' } } }
          return undefined
        },
      }
      const asked = upstream.requests
      expect((await post('hell')).status).equal(400)
      expect(upstream.requests).equal(asked)
    })

    it('passes whole when a plugin looked at its beginning and let it pass', async () => {
      first = {
        async access(request) {
          await request.readBody(10).catch((error) => expect(error).instanceOf(Refusal))
          return undefined
        },
      }
      const body = 'x'.repeat(50_000)
      const reply = await postInPieces(body.slice(0, 25_000), body.slice(25_000))
      expect(seen(reply).body).equal(body)
    })

    it('is asked for where the client waits for that', async () => {
      first = reads()
      const headers = ['Host', 'test', 'Expect', '100-continue']
      const { informed, status } = await ask('/', { method: 'POST', headers, body: 'ok' })
      expect([informed.map(([status]) => status), status]).deep.equal([[100], 200])
    })

    it('may be asked for by several at once', async () => {
      first = {
        async access(request) {
          const all = [request.readBody(), request.readBody(3).catch(() => 'too large'), request.readBody()]
          bodies.push(...(await Promise.all(all)).map(String))
          return undefined
        },
      }
      expect(seen(await postInPieces('he', 'llo')).body).equal('hello')
      expect(bodies).deep.equal(['hello', 'too large', 'hello'])
    })

    it('is read once, though the request starts over because the configuration changes', async () => {
      first = {
        async access(request) {
          bodies.push((await request.readBody()).toString())
          if (bodies.length === 1)
            gateway.catalog.put('plugins', { ...(gateway.addPlugin(api, 'cors') as Row) })
          return undefined
        },
      }
      second = reads()
      expect(seen(await post('hello')).body).equal('hello')
      expect(bodies.length).greaterThan(2)
      expect(new Set(bodies)).deep.equal(new Set(['hello']))
      gateway.catalog.remove('plugins', ({ name }) => name === 'cors')
    })

    it('that breaks off ends the request, and nothing of it goes upstream', async () => {
      const begun = Promise.withResolvers<void>()
      first = {
        async access(request) {
          begun.resolve()
          await request.readBody()
          return undefined
        },
      }
      const asked = upstream.requests
      const headers = ['Host', 'test', 'Content-Length', '10']
      const upload = way.begin(gateway, '/', { method: 'POST', headers, isOpen: true })
      upload.body.write('hel')
      await begun.promise
      upload.abandon()
      // A connection that ends leaves it malformed; a stream is taken back in so many words.
      const status = way.isHttp2 ? 499 : 400
      expect((await gateway.record()).response).include({ status })
      expect(upstream.requests).equal(asked)
    })

    it('counts in the record as what the client sent', async () => {
      const size = async (): Promise<number> => {
        gateway.records.length = 0
        await post('hello')
        return Number(((await gateway.record()).request as Row).size)
      }
      const plain = await size()
      first = makes((body) => body.repeat(100))
      expect(await size()).equal(plain)
    })
  })

  describe('of a response', () => {
    const changes = (change: (body: string) => string): Phases => ({
      headers(response) {
        response.changeBody((body) => Buffer.from(change(body.toString())))
      },
    })
    /** Sees the upstream's own bodies, and leaves them as they are. */
    const looks: Phases = {
      headers(response) {
        if (response.status === 200) response.changeBody((body) => body)
      },
    }
    const answers = (headers: Record<string, string>, ...chunks: (string | Buffer)[]) => {
      upstream.answer = (_request: IncomingMessage, response: ServerResponse) => {
        response.writeHead(200, 'Fine', headers)
        for (const chunk of chunks) response.write(chunk)
        response.end()
      }
    }
    const told = ({ status, body, headers }: Answered) => [status, body, headers['content-length']]

    it('goes on as it was changed, by one plugin after the other, with the length that fits', async () => {
      first = changes((body) => `${body} world`)
      second = {
        headers(response) {
          response.changeBody(async (body) => Buffer.from(`${body}!`))
        },
      }
      answers({ 'Content-Length': '5', 'Content-MD5': 'x', 'X-Mine': '1' }, 'he', 'llo')
      const answered = await get()
      expect(told(answered)).deep.equal([200, 'hello world!', '12'])
      expect([answered.reason, answered.headers['x-mine']]).deep.equal([way.isHttp2 ? '' : 'Fine', '1'])
      expect(answered.headers).not.have.any.keys('content-md5', 'transfer-encoding')
      answers({ Trailer: 'X-Sum' }, 'hello')
      expect(told(await get())).deep.equal([200, 'hello world!', '12'])
    })

    it('is decoded, and goes on as it was changed; coded still where nothing was', async () => {
      const codings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
      for (const [coding, encode] of Object.entries(codings)) {
        first = changes((body) => body.toUpperCase())
        answers({ 'Content-Encoding': coding }, encode('hello'))
        const answered = await get()
        expect(told(answered), coding).deep.equal([200, 'HELLO', '5'])
        expect(answered.headers).not.have.property('content-encoding')
        first = looks
        const kept = await get()
        expect(kept.headers).include({
          'content-encoding': coding,
          'content-length': `${encode('hello').length}`,
        })
      }
    })

    it('is a 502 where it can’t be decoded, or is larger than may be held, coded or not', async () => {
      first = looks
      answers({ 'Content-Encoding': 'compress' }, 'hello')
      expect((await get()).status).equal(502)
      answers({ 'Content-Encoding': 'gzip' }, 'hello')
      expect((await get()).status).equal(502)
      answers({ 'Content-Encoding': 'gzip' }, gzipSync(Buffer.alloc(heldBytesMax + 1)))
      expect((await get()).status).equal(502)
      answers({}, Buffer.alloc(heldBytesMax), 'x')
      expect((await get()).status).equal(502)
      answers({ 'Content-Length': String(heldBytesMax + 1) }, Buffer.alloc(heldBytesMax + 1))
      expect((await get()).status).equal(502)
      answers({}, Buffer.alloc(heldBytesMax, 'x'))
      expect(told(await get())).deep.equal([200, 'x'.repeat(heldBytesMax), String(heldBytesMax)])
    })

    it('that breaks off is a 502: nothing has been sent of it yet', async () => {
      first = looks
      upstream.answer = (_request, response) => {
        response.writeHead(200, { 'Content-Length': '10' })
        response.write('hello')
        setImmediate(() => response.destroy())
      }
      expect((await get()).status).equal(502)
      expect((await gateway.record()).response).include({ status: 502 })
    })

    it('costs the request a 500 when the change throws', async () => {
      first = changes(() => {
        throw new Error('on purpose')
      })
      answers({}, 'hello')
      expect((await get()).status).equal(500)
    })

    it('where there is none, nothing is called, and no length is told', async () => {
      let calls = 0
      first = changes((body) => `${body}${++calls}`)
      answers({ 'Content-Length': '5' })
      const { status, headers } = await ask('/', { method: 'HEAD' })
      expect([status, 'content-length' in headers]).deep.equal([200, false])
      upstream.answer = (_request, response) => response.writeHead(304, { ETag: '"a"' }).end()
      expect((await get()).status).equal(304)
      expect(calls).equal(0)
    })

    it('of the gateway’s own answers is changed as well', async () => {
      first = { ...changes((body) => body.toUpperCase()), access: () => ({ status: 401, body: 'no' }) }
      expect(told(await get())).deep.equal([401, 'NO', '2'])
    })

    it('may be dropped, and with it what was said of it', async () => {
      first = {
        headers(response) {
          response.status = 429
          response.dropBody()
        },
      }
      second = changes(() => 'never')
      answers({ 'Content-Type': 'text/plain', 'X-Mine': '1' }, 'hello')
      const answered = await get()
      expect(told(answered)).deep.equal([429, '', '0'])
      expect(answered.headers).include({ 'x-mine': '1' }).not.have.property('content-type')
    })

    it('of which the client did not wait for the end leaves nothing behind', async () => {
      const begun = Promise.withResolvers<void>()
      const closed = Promise.withResolvers<void>()
      first = changes((body) => body)
      upstream.answer = (_request, response) => {
        response.writeHead(200)
        response.write('hello', () => begun.resolve())
        response.on('close', () => closed.resolve())
      }
      const asked = way.begin(gateway, '/')
      await begun.promise
      asked.abandon()
      await closed.promise
      expect((await gateway.record()).response).include({ status: 499 })
    })
  })
})
