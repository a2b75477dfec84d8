// What a page does that came through the gateway, in a real browser.
import { createHash } from 'node:crypto'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { expect } from 'chai'
import { WebSocketServer } from 'ws'
import type { Row } from '../../src/base/json.ts'
import { Browser } from '../support/browser.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { requireProgram } from '../support/program.ts'

// What a page has; functions that are given to `browser.run` may use it.
// biome-ignore lint/suspicious/noExplicitAny: types of the DOM would be there for all of the repository
declare const document: any, location: any, DataTransfer: any

const page = `<!doctype html><title>a page</title>
  <link rel="icon" href="data:,">
  <form method="post" enctype="multipart/form-data" action="/form" target="answer">
    <input name="text"><input type="file" name="file">
  </form>
  <iframe name="answer"></iframe>`

describe('a browser', function () {
  this.timeout(60_000)
  let browser: Browser
  let server: http.Server
  let sockets: WebSocketServer
  /** Event streams that are open. */
  let streams: Set<ServerResponse>
  let gateway: TestGateway
  let api: Row

  before(async function () {
    browser = await Browser.start(requireProgram(this, 'chromium'))
  })
  after(() => browser?.stop())

  beforeEach(async () => {
    streams = new Set()
    server = http.createServer((request, response) => void answer(request, response))
    sockets = new WebSocketServer({ server })
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`told ${data}`)))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    gateway = await new TestGateway().start()
    const { port } = server.address() as AddressInfo
    api = gateway.addApi({ request_path: '/', upstream_url: `http://127.0.0.1:${port}` })
  })

  afterEach(async () => {
    await browser.open('about:blank')
    await gateway.stop()
    server.closeAllConnections()
    server.close()
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    switch (request.url?.split('?')[0]) {
      case '/':
        response.writeHead(200, { 'content-type': 'text/html' }).end(page)
        return
      case '/events':
        streams.add(response.on('close', () => streams.delete(response)))
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 10\n\n')
        response.write(`id: 7\ndata: after ${request.headers['last-event-id'] ?? 'nothing'}\n\n`)
        return
      case '/break':
        for (const stream of streams) stream.destroy()
        response.end()
        return
      case '/stream':
        request.pipe(response.writeHead(200))
        return
      default: {
        const body = await buffer(request)
        const { method, headers } = request
        const sum = createHash('sha256').update(body).digest('hex')
        response.setHeader('content-type', 'application/json')
        const type = headers['content-type']
        response.end(
          JSON.stringify({ method, type, bytes: body.length, sum, start: body.toString('latin1', 0, 400) }),
        )
      }
    }
  }

  for (const scheme of ['http', 'https'] as const) {
    describe(`by ${scheme}`, () => {
      beforeEach(() => browser.open(url()))

      const url = (path = '/') =>
        `${scheme}://localhost:${scheme === 'http' ? gateway.port : gateway.tlsPort}${path}`

      it('gets and posts, twenty at once, and reads a stream as it comes', async () => {
        const told = await browser.run(async () => {
          const post = async (i: number) => {
            const body = 'x'.repeat(i * 10_000)
            const response = await fetch(`/post?${i}`, {
              method: i % 2 ? 'POST' : 'GET',
              ...(i % 2 && { body }),
            })
            return ((await response.json()) as Row).bytes
          }
          const bytes = await Promise.all(Array.from({ length: 20 }, (_, i) => post(i)))
          const { body } = await fetch('/stream', { method: 'POST', body: 'y'.repeat(3_000_000) })
          let streamed = 0
          for await (const chunk of body as ReadableStream<Uint8Array>) streamed += chunk.length
          return { title: document.title, bytes, streamed }
        })
        const bytes = Array.from({ length: 20 }, (_, i) => (i % 2 ? i * 10_000 : 0))
        expect(told).deep.equal({ title: 'a page', bytes, streamed: 3_000_000 })
      })

      it('speaks with a WebSocket, and ends it with a code', async () => {
        const told = await browser.run(async () => {
          const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/socket`)
          await new Promise((resolve) => socket.addEventListener('open', resolve))
          const heard: string[] = []
          for (const text of ['one', 'two', 'x'.repeat(1_000_000)]) {
            socket.send(text)
            const { data } = await new Promise<MessageEvent>((resolve) => {
              socket.addEventListener('message', resolve, { once: true })
            })
            heard.push(data)
          }
          socket.close(4001)
          const { code } = await new Promise<CloseEvent>((resolve) =>
            socket.addEventListener('close', resolve),
          )
          return [heard[0], heard[1], heard[2]?.length, code]
        })
        expect(told).deep.equal(['told one', 'told two', 1_000_005, 4001])
        await until(() => sockets.clients.size === 0)
      })

      it('hears server-sent events, and comes again with the last id when a stream breaks off', async () => {
        const hearing = browser.run(async () => {
          const source = new EventSource('/events')
          const heard: string[] = []
          await new Promise<void>((resolve) => {
            source.addEventListener('message', ({ data }) => {
              heard.push(data)
              // Broken before anything was heard, it would be answered 502, after which no browser comes again.
              if (heard.length === 1) void fetch('/break')
              else resolve()
            })
          })
          source.close()
          return heard
        })
        expect(await hearing).deep.equal(['after nothing', 'after 7'])
        await until(() => streams.size === 0)
      })

      it('uploads a form with a file of some MB', async () => {
        const told = await browser.run(async () => {
          const form = document.forms[0]
          const file = new File([new Uint8Array(8 * 1024 * 1024).fill(97)], 'a file.bin')
          const files = new DataTransfer()
          files.items.add(file)
          form.text.value = 'grüße'
          form.file.files = files.files
          const frame = document.querySelector('iframe')
          const loaded = new Promise((resolve) => frame.addEventListener('load', resolve))
          form.submit()
          await loaded
          return frame.contentDocument?.body.innerText as string
        })
        const { method, type, bytes, start } = JSON.parse(told)
        expect(method).equal('POST')
        expect(type).match(/^multipart\/form-data; boundary=/)
        expect(bytes).within(8 * 1024 * 1024, 8 * 1024 * 1024 + 1000)
        expect(start).include('name="file"; filename="a file.bin"')
      })

      it('is let in with a key in the query, and not without', async () => {
        gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: true })
        gateway.addKey(gateway.addConsumer('anna'), 'abc')
        const told = await browser.run(async () => {
          const statuses = ['/', '/?apikey=no', '/?apikey=abc'].map(
            async (path) => (await fetch(path)).status,
          )
          const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/socket?apikey=abc`)
          const opened = await new Promise((resolve) => {
            socket.addEventListener('open', () => resolve(true))
            socket.addEventListener('error', () => resolve(false))
          })
          socket.close()
          return [...(await Promise.all(statuses)), opened]
        })
        expect(told).deep.equal([401, 403, 200, true])
      })
    })
  }
})
