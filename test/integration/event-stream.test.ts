// Server-sent events through the proxy: replies that have no end, and in which silence means nothing.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { expect } from 'chai'
import { Agent } from 'undici'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { trusting } from '../support/raw-http.ts'

for (const scheme of ['http', 'https'] as const) {
  describe(`server-sent events by ${scheme}`, () => {
    let upstream: Upstream
    let gateway: TestGateway
    let client: Agent

    beforeEach(async () => {
      upstream = await new Upstream().start()
      client = new Agent({ connect: { ca: String(trusting.ca), servername: 'localhost' } })
    })

    afterEach(async () => {
      await client.destroy()
      await gateway.stop()
      await upstream.stop()
    })

    /** Opens a stream, and has both its ends: what the upstream says, and what the client reads. */
    async function open(options: TestGatewayOptions = {}): Promise<EventStream> {
      gateway = await new TestGateway(options).start()
      gateway.addPlugin(gateway.addApi({ request_path: '/', upstream_url: upstream.url }), 'recorder')
      const source = Promise.withResolvers<ServerResponse>()
      upstream.answer = (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
        source.resolve(response)
      }
      const port = scheme === 'http' ? gateway.port : gateway.tlsPort
      const { headers, body } = await client.request({
        origin: `${scheme}://127.0.0.1:${port}`,
        path: '/events',
        method: 'GET',
      })
      expect(headers).include({ 'content-type': 'text/event-stream' })
      body.on('error', () => {})
      return new EventStream(await source.promise, body)
    }

    it('are open before the first one comes, and arrive each at once: the next one is not sent before', async () => {
      const events = await open()
      for (let i = 0; i < 50; i++) {
        events.send(i)
        expect(await events.read()).equal(`data: ${i}\n\n`)
      }
    })

    it('last through silence, while the bounds for idle connections pass on either side', async () => {
      const events = await open({ outbound: { idleMs: 80 }, inboundTimeoutMs: 80 })
      events.send(1)
      expect(await events.read()).equal('data: 1\n\n')
      await new Promise((resolve) => setTimeout(resolve, 400))
      events.send(2)
      expect(await events.read()).equal('data: 2\n\n')
    })

    it('last as long as a comment comes now and then, and no longer than the read timeout without', async () => {
      const events = await open({ outbound: { timeouts: { readMs: 250 } } })
      for (let i = 0; i < 8; i++) {
        events.source.write(': still here\n\n')
        expect(await events.read()).equal(': still here\n\n')
        await new Promise((resolve) => setTimeout(resolve, 60))
      }
      const code = scheme === 'http' ? 'UND_ERR_SOCKET' : 'ERR_HTTP2_STREAM_ERROR'
      expect(await events.read().catch((error) => error.code)).equal(code)
    })

    it('end for the upstream when their client goes, and are logged', async () => {
      const events = await open()
      events.send(1)
      await events.read()
      const ended = once(events.source, 'close')
      events.body.destroy()
      await ended
      expect((await gateway.record()).response).include({ status: 200 })
    })
  })
}

class EventStream {
  readonly source: ServerResponse
  readonly body: Readable

  constructor(source: ServerResponse, body: Readable) {
    this.source = source
    this.body = body
  }

  send(data: number): void {
    this.source.write(`data: ${data}\n\n`)
  }

  /** The next piece, as it comes. */
  async read(): Promise<string> {
    let chunk = this.body.read()
    for (; chunk === null; chunk = this.body.read()) await once(this.body, 'readable')
    return String(chunk)
  }
}
