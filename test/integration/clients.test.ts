// Another client than Node's own, on either port: undici, which keeps connections, pipelines and checks what it reads.
import { Readable } from 'node:stream'
import { expect } from 'chai'
import { Client, type Dispatcher, Pool } from 'undici'
import { TestGateway } from '../support/gateway.ts'
import { trusting } from '../support/raw-http.ts'
import { Upstream } from '../support/upstream.ts'

describe('undici', () => {
  let upstream: Upstream
  let gateway: TestGateway

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
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
