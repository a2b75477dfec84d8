// When a request is sent twice, and how long an upstream may take for what.

import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { definePlugin } from '../../src/plugins/plugin.ts'
import { type Counter, Counters } from '../../src/proxy/counters.ts'
import type { UpstreamFailed } from '../../src/proxy/errors.ts'
import type { Timeouts } from '../../src/proxy/outbound/timeouts.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { ask, connect } from '../support/raw-http.ts'

describe('connections to upstreams', () => {
  let gateway: TestGateway

  beforeEach(async () => {
    gateway = await new TestGateway().start()
  })
  afterEach(() => gateway.stop())

  async function restart(timeouts: Partial<Timeouts>): Promise<void> {
    await gateway.stop()
    gateway = await new TestGateway({ outbound: { timeouts } }).start()
  }

  const addApi = (upstream_url: string) => gateway.addApi({ request_host: 'test', upstream_url })
  const failure = () => gateway.lines[0]?.fields.error as UpstreamFailed

  describe('a request on a kept connection that ends before it is answered', () => {
    /** Answers the first request on a connection, and ends it in place of the next answer. */
    class Fickle {
      readonly requests: string[] = []
      readonly #server = net.createServer((socket) => this.#serve(socket))
      end: (socket: Socket) => void = (socket) => socket.destroy()
      /** Whether it ends new connections too. */
      isDown = false

      async start(): Promise<string> {
        await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
        return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
      }

      stop(): void {
        this.#server.close()
      }

      #serve(socket: Socket): void {
        let answered = 0
        socket.on('error', () => {})
        socket.on('data', (chunk) => {
          const [head = ''] = String(chunk).split('\r\n\r\n')
          if (!/^[A-Z]+ \//.test(head)) return
          this.requests.push(head.split(' ')[0] as string)
          if (answered > 0 || this.isDown) this.end(socket)
          else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
          answered++
        })
      }
    }

    let fickle: Fickle
    let url: string

    beforeEach(async () => {
      fickle = new Fickle()
      url = await fickle.start()
      addApi(url)
      await ask(gateway.port, '/')
    })
    afterEach(() => fickle.stop())

    const status = async (method: string, body = '') =>
      (await ask(gateway.port, '/', { method, body })).status

    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']) {
      it(`${method} is sent again on a new connection`, async () => {
        expect(await status(method)).equal(200)
        expect(fickle.requests).deep.equal(['GET', method, method])
      })
    }

    it('also when it ends in order', async () => {
      fickle.end = (socket) => socket.end()
      expect(await status('GET')).equal(200)
      expect(fickle.requests).deep.equal(['GET', 'GET', 'GET'])
    })

    it('what may do something twice, and what has a body, is not: 502', async () => {
      expect(await status('POST')).equal(502)
      await ask(gateway.port, '/')
      expect(await status('PUT', 'body')).equal(502)
      expect(fickle.requests).deep.equal(['GET', 'POST', 'GET', 'PUT'])
    })

    it('is sent again once, and not when the answer had begun', async () => {
      fickle.isDown = true
      expect(await status('GET')).equal(502)
      expect(fickle.requests).deep.equal(['GET', 'GET', 'GET'])
      fickle.isDown = false
      await ask(gateway.port, '/')
      fickle.end = (socket) => socket.end('HTTP/1.1 100 Continue\r\n\r\n')
      expect(await status('GET')).equal(502)
      expect(fickle.requests).length(5)
    })

    it('a new connection that ends is an error at once', async () => {
      await gateway.stop()
      gateway = await new TestGateway().start()
      addApi(url)
      fickle.isDown = true
      expect(await status('GET')).equal(502)
      expect(fickle.requests).deep.equal(['GET', 'GET'])
    })
  })

  it('are counted: those that are open, in use, came about, did not, and were used again', async () => {
    const upstream = await new Upstream().start()
    addApi(upstream.url)
    const counters = new Counters(gateway.counters)
    const names = ['upstreamOpen', 'upstreamInUse', 'upstreamOpened', 'upstreamNotOpened', 'upstreamReused']
    const now = () => String(names.map((name) => counters.get(name as Counter)))
    const arrived = Promise.withResolvers<() => void>()
    upstream.answer = (_request, response) => arrived.resolve(() => response.end())
    const reply = ask(gateway.port, '/')
    const answer = await arrived.promise
    expect(now()).equal('1,1,1,0,0')
    answer()
    await reply
    await until(() => now() === '1,0,1,0,0')
    upstream.answer = undefined
    await ask(gateway.port, '/')
    await until(() => now() === '1,0,1,0,1')
    await upstream.stop()
    await until(() => now() === '0,0,1,0,1')
    expect((await ask(gateway.port, '/')).status).equal(502)
    await until(() => now() === '0,0,1,1,1')
  })

  describe('are kept', () => {
    let upstream: Upstream

    beforeEach(async () => {
      upstream = await new Upstream().start()
    })
    afterEach(() => upstream.stop())

    it('no longer than they may be, and then closed', async () => {
      await gateway.stop()
      gateway = await new TestGateway({ outbound: { idleMs: 50, timeouts: { readMs: 200 } } }).start()
      addApi(upstream.url)
      await ask(gateway.port, '/')
      await until(() => new Counters(gateway.counters).get('upstreamOpen') === 0)
      await ask(gateway.port, '/')
      expect(upstream.connections).equal(2)
    })

    it('not at all where the upstream is about to close them', async () => {
      addApi(upstream.url)
      upstream.answer = (_request, response) =>
        response.writeHead(200, { Connection: 'keep-alive', 'Keep-Alive': 'timeout=1' }).end('fine')
      for (let i = 0; i < 3; i++) expect((await ask(gateway.port, '/')).body).equal('fine')
      expect(upstream.connections).equal(3)
    })

    it('also when they were asked for another protocol, which the upstream declined', async () => {
      addApi(upstream.url)
      const upgrade = ['Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Version', '13']
      expect((await ask(gateway.port, '/', { headers: ['Host', 'test', ...upgrade] })).status).equal(200)
      expect((await ask(gateway.port, '/')).status).equal(200)
      expect(upstream.connections).equal(1)
    })
  })

  it('a body that is not as long as a plugin says is never completed upstream', async () => {
    const lie = (length: string) =>
      definePlugin({
        name: `says-${length}`,
        phases: { access: ({ headers }) => void headers.set('Content-Length', length) },
      })
    await gateway.stop()
    gateway = await new TestGateway({ plugins: [lie('3'), lie('9')] }).start()
    const upstream = await new Upstream().start()
    let completed = 0
    upstream.answer = (request, response) => {
      request.resume().on('end', () => {
        completed++
        response.end()
      })
    }
    for (const length of ['3', '9']) {
      const api = gateway.addApi({ request_host: `${length}.test`, upstream_url: upstream.url })
      gateway.addPlugin(api, `says-${length}`)
      const headers = ['Host', `${length}.test`]
      const reply = await ask(gateway.port, '/', { method: 'POST', body: 'hello', headers })
      expect(reply.status).equal(502)
    }
    expect(completed).equal(0)
    await upstream.stop()
  })

  describe('timeouts', () => {
    let upstream: Upstream

    beforeEach(async () => {
      upstream = await new Upstream().start()
    })
    afterEach(() => upstream.stop())

    it('an upstream that does not take the connection is 504 after connectMs', async () => {
      const { worker, port } = await deafServer()
      // Those that the system accepts for a program that does not.
      const waiting = await fill(port)
      await restart({ connectMs: 150 })
      addApi(`http://127.0.0.1:${port}`)
      const since = performance.now()
      expect((await ask(gateway.port, '/')).status).equal(504)
      expect(performance.now() - since).within(140, 3000)
      expect(failure()).include({
        code: 'upstream-timeout',
        message: 'the upstream took no connection within 150 ms',
      })
      for (const socket of waiting) socket.destroy()
      await worker.terminate()
    })

    it('an upstream that takes nothing more of an upload is 504 after sendMs', async () => {
      await restart({ sendMs: 150 })
      addApi(upstream.url)
      upstream.answer = (request) => void request.pause()
      const reply = await ask(gateway.port, '/', { method: 'POST', body: Buffer.alloc(32 * 1024 * 1024) })
      expect(reply.status).equal(504)
      expect(failure().message).equal('the upstream took nothing of the request for 150 ms')
    })

    it('a client that sends slowly is not the fault of the upstream, which may take longer in all', async () => {
      await restart({ sendMs: 150, readMs: 150 })
      addApi(upstream.url)
      const socket = await connect(gateway.port)
      socket.write('POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 3\r\n\r\n')
      for (const letter of 'abc') {
        await new Promise((resolve) => setTimeout(resolve, 250))
        socket.write(letter)
      }
      let reply = ''
      for await (const chunk of socket) reply += String(chunk)
      expect(reply)
        .match(/^HTTP\/1\.1 200 /)
        .include('"body":"abc"')
    })

    it('an upstream that says nothing is 504 after readMs, one that goes on is not', async () => {
      await restart({ readMs: 200 })
      addApi(upstream.url)
      upstream.answer = () => {}
      expect((await ask(gateway.port, '/')).status).equal(504)
      expect(failure().message).equal('the upstream sent nothing for 200 ms')
      upstream.answer = async (_request, response) => {
        for (let i = 0; i < 6; i++) {
          response.write('x')
          await new Promise((resolve) => setTimeout(resolve, 80))
        }
        response.end()
      }
      expect(await ask(gateway.port, '/')).include({ status: 200, body: 'xxxxxx' })
    })

    it('one that says that it is still at it has not said nothing', async () => {
      await restart({ readMs: 200 })
      addApi(upstream.url)
      upstream.answer = async (_request, response) => {
        for (let i = 0; i < 6; i++) {
          response.writeProcessing()
          await new Promise((resolve) => setTimeout(resolve, 80))
        }
        response.end('done')
      }
      expect(await ask(gateway.port, '/')).include({ status: 200, body: 'done' })
    })
  })
})

/** A server whose program accepts nothing: connections beyond its small backlog are not answered at all. */
async function deafServer(): Promise<{ worker: Worker; port: number }> {
  const script = `
    const { parentPort } = require('node:worker_threads')
    const server = require('node:net').createServer()
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port)
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
    })`
  const worker = new Worker(script, { eval: true })
  const [port] = (await once(worker, 'message')) as [number]
  return { worker, port }
}

/** Connects until a connection is not taken any more. */
async function fill(port: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let taken = true; taken && sockets.length < 50; ) {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', () => {})
    sockets.push(socket)
    taken = await Promise.race([
      once(socket, 'connect').then(() => true),
      new Promise<boolean>((resolve) => setTimeout(resolve, 300, false)),
    ])
  }
  return sockets
}
