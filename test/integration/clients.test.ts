// Other clients than Node's own, on either port: undici, which keeps connections, pipelines and checks what it reads,
// and curl.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { Client, type Dispatcher, Pool } from 'undici'
import { Upstream } from '../../src/testing/upstream.ts'
import { certificate } from '../support/certificate.ts'
import { curl } from '../support/curl.ts'
import { TestGateway } from '../support/gateway.ts'
import { inEachLane } from '../support/lanes.ts'
import { requireProgram } from '../support/program.ts'
import { trusting } from '../support/raw-http.ts'

inEachLane('undici', (lane) => {
  let upstream: Upstream
  let gateway: TestGateway

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway({ lane }).start()
    gateway.addApi({ request_path: '/', upstream_url: upstream.url })
  })
  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  for (const scheme of ['http', 'https'] as const) {
    describe(`by ${scheme}`, () => {
      const connect = { ca: String(trusting.ca), servername: 'localhost' }
      const origin = () => `${scheme}://127.0.0.1:${scheme === 'http' ? gateway.port : gateway.tlsPort}`

      it('many requests at once, with and without bodies, come back each with its own', async () => {
        const pool = new Pool(origin(), { connections: 4, pipelining: 4, connect })
        const all = Array.from({ length: 60 }, async (_, i) => {
          const method = i % 2 === 0 ? 'GET' : 'POST'
          const body = i % 2 === 0 ? null : 'x'.repeat(i * 1000)
          const reply = await pool.request({ path: `/${i}`, method, body })
          const seen = (await reply.body.json()) as Record<string, string>
          expect(reply.statusCode).equal(200)
          expect(seen).include({ url: `/${i}`, method, body: body ?? '' })
        })
        await Promise.all(all)
        await pool.close()
        expect(upstream.requests).equal(60)
      })

      it('a stream each way, early hints and trailers', async () => {
        upstream.answer = (request, response) => {
          response.writeEarlyHints({ link: '</a.css>; rel=preload' })
          response.writeHead(200, { Trailer: 'X-Sum' })
          request.on('data', (chunk) => response.write(chunk))
          request.on('end', () => {
            response.addTrailers({ 'X-Sum': '42' })
            response.end()
          })
        }
        const client = new Client(origin(), { connect })
        const hints: unknown[] = []
        const chunks = Array.from({ length: 10 }, (_, i) => Buffer.alloc(10_000, String(i)))
        const { body, trailers } = (await client.request({
          path: '/',
          method: 'PUT',
          body: Readable.from(chunks),
          onInfo: ({ statusCode, headers }) => void hints.push([statusCode, headers.link]),
        })) as Dispatcher.ResponseData
        expect((await body.text()).length).equal(100_000)
        expect(trailers).deep.equal({ 'x-sum': '42' })
        expect(hints).deep.equal([[103, '</a.css>; rel=preload']])
        await client.close()
      })
    })
  }
})

inEachLane('curl', (lane) => {
  let dir: string
  let upstream: Upstream
  let gateway: TestGateway

  before(async function () {
    requireProgram(this, 'curl')
    dir = await mkdtemp(join(tmpdir(), 'troop-curl-'))
    await writeFile(join(dir, 'ca.pem'), certificate)
    await writeFile(join(dir, 'upload'), 'x'.repeat(3_000_000))
  })
  after(async () => {
    if (dir) await rm(dir, { recursive: true })
  })
  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway({ lane }).start()
    gateway.addApi({ request_path: '/', upstream_url: upstream.url })
  })
  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  for (const scheme of ['http', 'https'] as const) {
    describe(`by ${scheme}`, () => {
      const url = (path = '/') =>
        `${scheme}://localhost:${scheme === 'http' ? gateway.port : gateway.tlsPort}${path}`
      const ask = (...args: string[]) => curl('--ipv4', '--cacert', join(dir, 'ca.pem'), ...args)

      it('is shown early hints and trailers', async () => {
        upstream.answer = (_request, response) => {
          response.writeEarlyHints({ link: '</a.css>; rel=preload' })
          response.writeHead(200, { Trailer: 'X-Sum' })
          response.write('some')
          response.addTrailers({ 'X-Sum': '42' })
          response.end(' text')
        }
        const told = await ask('--dump-header', '-', url())
        const [hints, answer] =
          scheme === 'http' ? ['HTTP/1.1 103 Early Hints', 'HTTP/1.1 200 OK'] : ['HTTP/2 103 ', 'HTTP/2 200 ']
        const begin = `${hints}\r\nlink: </a.css>; rel=preload\r\n\r\n${answer}\r\n`
        expect(told.toLowerCase().slice(0, begin.length)).equal(begin.toLowerCase())
        expect(told)
          .match(/\r\nTrailer: X-Sum\r\n/i)
          .match(/some text/)
          .match(/X-Sum: 42\r\n/i)
      })

      it('of HTTP/1.0 gets all, whatever the framing was, and none of what it cannot read', async () => {
        const framings = [{}, { 'content-length': 9 }, { connection: 'close' }]
        for (const headers of framings) {
          upstream.answer = (_request, response) => {
            if ('connection' in headers) response.useChunkedEncodingByDefault = false
            response.writeEarlyHints({ link: '</a.css>; rel=preload' })
            response.writeHead(200, headers)
            response.write('some')
            response.end(' text')
          }
          const told = await ask('--http1.0', '--dump-header', '-', url())
          expect(told)
            .match(/^HTTP\/1\.1 200 OK\r\n/)
            .match(/\r\n\r\nsome text$/)
          expect(told).not.match(/103|transfer-encoding/i)
        }
      })

      it('is asked for a large upload, counted or in chunks', async () => {
        const seen: unknown[] = []
        upstream.answer = async (request, response) => {
          let bytes = 0
          for await (const chunk of request) bytes += (chunk as Buffer).length
          seen.push([bytes, request.headers['content-length'], request.headers.expect])
          response.end()
        }
        const upload = ['--expect100-timeout', '60', '--upload-file', join(dir, 'upload')]
        await ask(...upload, url())
        await ask(...upload, '--header', 'Transfer-Encoding: chunked', url())
        expect(seen).deep.equal([
          [3_000_000, '3000000', undefined],
          [3_000_000, undefined, undefined],
        ])
      })

      it('unpacks what the upstream has packed, and uses its connection again', async () => {
        upstream.answer = (request, response) => {
          expect(request.headers['accept-encoding']).match(/gzip/)
          response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('some text'))
        }
        const told = await ask('--compressed', '--write-out', ' %{num_connects}\n', url(), url('/2'))
        expect(told).equal('some text 1\nsome text 0\n')
      })
    })
  }
})
