// Connections to upstreams that are opened ahead of the requests that need them: when, how many, and who pays for one that
// is no good.
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import tls from 'node:tls'
import { expect } from 'chai'
import { type Counter, Counters } from '../../src/proxy/counters.ts'
import type { HttpOutboundOptions } from '../../src/proxy/outbound/http-outbound.ts'
import { Trust } from '../../src/proxy/outbound/trust.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { certificate, certificateKey } from '../support/certificate.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { type Asked, ask } from '../support/raw-http.ts'
import { TcpProxy, type Wire } from '../support/tcp-proxy.ts'

describe('connections that are opened ahead', () => {
  let gateway: TestGateway
  const releases: (() => unknown)[] = []

  afterEach(async () => {
    await gateway.stop()
    for (const release of releases.splice(0).reverse()) await release()
  })

  async function start(
    url: string,
    outbound: Omit<HttpOutboundOptions, 'clock'> = { spares: 1 },
  ): Promise<void> {
    gateway = await new TestGateway({ outbound }).start()
    gateway.addApi({ request_host: 'test', upstream_url: url })
  }

  async function startUpstream(): Promise<Upstream> {
    const upstream = await new Upstream().start()
    releases.push(() => upstream.stop())
    return upstream
  }

  const count = (counter: Counter) => new Counters(gateway.counters).get(counter)
  const get = async (asked: Asked = {}) => (await ask(gateway.port, '/', asked)).status
  /** The first opens a connection, the second finds it. */
  const askTwice = async () => expect([await get(), await get()]).deep.equal([200, 200])
  /** As long as one would have taken to be opened. */
  const aWhile = () => new Promise((resolve) => setTimeout(resolve, 50))

  /** Requests that their upstream has, and does not answer before it is told to. */
  class Held {
    readonly #responses: ServerResponse[] = []
    readonly #replies: Promise<number>[] = []

    constructor(upstream: Upstream) {
      upstream.answer = (_request: IncomingMessage, response) => void this.#responses.push(response)
    }

    async ask(times: number): Promise<void> {
      const due = this.#responses.length + times
      for (let i = 0; i < times; i++) this.#replies.push(get())
      await until(() => this.#responses.length === due)
    }

    async answer(): Promise<void> {
      for (const response of this.#responses) response.end()
      for (const status of await Promise.all(this.#replies)) expect(status).equal(200)
    }
  }

  describe('are as many as are asked for', () => {
    let upstream: Upstream

    beforeEach(async () => {
      upstream = await startUpstream()
    })

    it('none by default', async () => {
      await start(upstream.url, {})
      await askTwice()
      await aWhile()
      expect(upstream.connections).equal(1)
    })

    it('and the next request beside the running one finds one that is open', async () => {
      await start(upstream.url)
      await get()
      const held = new Held(upstream)
      await held.ask(1)
      await until(() => count('upstreamOpen') === 2)
      expect(count('upstreamReused')).equal(1)
      await held.ask(1)
      expect(count('upstreamReused')).equal(2)
      expect(count('upstreamInUse')).equal(2)
      await until(() => count('upstreamOpened') === 3)
      await aWhile()
      expect(upstream.connections).equal(3)
      await held.answer()
    })

    it('as many again for those that are taken, and no more however long it goes on', async () => {
      await start(upstream.url, { spares: 3 })
      await askTwice()
      await until(() => count('upstreamOpen') === 4)
      const held = new Held(upstream)
      await held.ask(4)
      await until(() => count('upstreamOpen') === 7)
      await held.answer()
      upstream.answer = undefined
      for (let i = 0; i < 20; i++) expect(await get()).equal(200)
      await aWhile()
      expect(upstream.connections).equal(7)
    })

    it('none for a request that finds none open, and none at an upstream that keeps none', async () => {
      await start(upstream.url)
      await get()
      await aWhile()
      expect(upstream.connections).equal(1)
      upstream.answer = (_request, response) => response.setHeader('Connection', 'close').end()
      await get()
      await until(() => count('upstreamOpen') === 1)
      const before = upstream.connections
      for (let i = 0; i < 5; i++) await get()
      await aWhile()
      expect(upstream.connections - before).equal(4)
      expect(count('upstreamOpen')).equal(0)
    })

    const bounds: Readonly<Record<string, Omit<HttpOutboundOptions, 'clock'>>> = {
      'there may be at once': { socketsMax: 3 },
      'are kept while idle': { idleSocketsMax: 2 },
      'are kept of all upstreams together': { keptMax: 3 },
    }
    for (const [what, bound] of Object.entries(bounds)) {
      it(`no more than ${what}`, async () => {
        await start(upstream.url, { spares: 10, ...bound })
        await get()
        const held = new Held(upstream)
        await held.ask(1)
        await until(() => count('upstreamOpen') === 3)
        await aWhile()
        expect(upstream.connections).equal(3)
        await held.answer()
      })
    }
  })

  it('are closed when nobody takes them, and are not replaced', async () => {
    const upstream = await startUpstream()
    await start(upstream.url, { spares: 2, idleMs: 50, timeouts: { readMs: 200 } })
    await askTwice()
    await until(() => count('upstreamOpened') === 3 && count('upstreamOpen') === 0)
    await aWhile()
    expect(upstream.connections).equal(3)
  })

  it('are closed with the gateway', async () => {
    const upstream = await startUpstream()
    await start(upstream.url, { spares: 5 })
    await askTwice()
    await until(() => count('upstreamOpen') === 6)
    gateway.outbound.stop()
    await until(() => count('upstreamOpen') === 0)
  })

  describe('and are not as they were thought', () => {
    /** Holds or answers what comes by its first connection; on all others it does as it is told. */
    class Moody {
      readonly sockets: Socket[] = []
      requests = 0
      act: (socket: Socket) => void = answer
      holds = false
      readonly #server = net.createServer((socket) => this.#serve(socket))

      async start(): Promise<string> {
        await once(this.#server.listen(0, '127.0.0.1'), 'listening')
        return `http://127.0.0.1:${this.port}`
      }

      get port(): number {
        return (this.#server.address() as AddressInfo).port
      }

      /** Takes no connection any more, and keeps those that there are. */
      async close(): Promise<number> {
        const { port } = this
        this.#server.close()
        // Accepted already, if one was on its way.
        await aWhile()
        return port
      }

      async open(port: number): Promise<void> {
        await once(this.#server.listen(port, '127.0.0.1'), 'listening')
      }

      stop(): void {
        for (const socket of this.sockets) socket.destroy()
        this.#server.close()
      }

      /** The next one, but none after it. */
      actOnce(act: (socket: Socket) => void): void {
        this.act = (socket) => {
          this.act = answer
          act(socket)
        }
      }

      /** Answers what it has held. */
      release(): void {
        this.holds = false
        this.sockets[0]?.write(fine)
      }

      #serve(socket: Socket): void {
        this.sockets.push(socket)
        socket.on('error', () => {})
        socket.on('data', () => {
          this.requests++
          if (socket !== this.sockets[0]) this.act(socket)
          else if (!this.holds) answer(socket)
        })
      }
    }

    const fine = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
    const tooLate = 'HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate'
    const answer = (socket: Socket) => void socket.write(fine)
    let moody: Moody

    beforeEach(async () => {
      moody = new Moody()
      const url = await moody.start()
      releases.push(() => moody.stop())
      await start(url)
    })

    /** The second connection is opened ahead, and the next to be taken: the first is busy. */
    async function openOne(): Promise<void> {
      await get()
      moody.holds = true
      get().catch(() => {})
      await until(() => count('upstreamOpen') === 2 && moody.sockets.length === 2)
      moody.requests = 0
    }

    it('one that ends with the request is not the request’s fault: it is sent again, on a new one', async () => {
      await openOne()
      moody.actOnce((socket) => socket.destroy())
      expect(await get()).equal(200)
      expect(moody.requests).equal(2)
    })

    it('but only what does no harm twice, as on any that is kept', async () => {
      await openOne()
      moody.actOnce((socket) => socket.destroy())
      expect(await get({ method: 'POST' })).equal(502)
      expect(moody.requests).equal(1)
    })

    it('none is opened after one that ended so, until another has carried a request', async () => {
      await openOne()
      moody.act = (socket) => socket.destroy()
      // The second is the one that was opened when the first was taken.
      for (let i = 0; i < 3; i++) expect(await get()).equal(502)
      await aWhile()
      expect(moody.requests).equal(2 + 2 + 1)
      expect(moody.sockets).length(1 + moody.requests)
      moody.release()
      moody.act = answer
      await until(() => count('upstreamOpen') === 1)
      expect(await get()).equal(200)
      await until(() => count('upstreamOpen') === 2)
    })

    for (const [how, said] of Object.entries({ silently: '', 'with a word': tooLate })) {
      it(`one that is closed early, ${how}, is forgotten, and not replaced before a request comes`, async () => {
        await openOne()
        moody.sockets[1]?.end(said)
        await until(() => count('upstreamOpen') === 1)
        await aWhile()
        expect(moody.sockets).length(2)
        moody.release()
        await until(() => count('upstreamInUse') === 0)
        expect(await get()).equal(200)
        await until(() => moody.sockets.length === 3)
        expect(count('upstreamNotOpened')).equal(0)
        expect(gateway.lines).deep.equal([])
      })
    }

    it('that the upstream has waited for too long is no answer to the request that came after all', async () => {
      await openOne()
      moody.actOnce((socket) => socket.end(tooLate))
      expect(await ask(gateway.port, '/')).include({ status: 200, body: '' })
      expect(moody.requests).equal(2)
    })

    it('but is one to what may do something twice', async () => {
      await openOne()
      moody.actOnce((socket) => socket.end(tooLate))
      expect(await ask(gateway.port, '/', { method: 'POST' })).include({ status: 408, body: 'late' })
      expect(moody.requests).equal(1)
    })

    it('and on a connection that has carried another request', async () => {
      await openOne()
      const seen = new Set<Socket>()
      moody.act = (socket) => {
        if (seen.has(socket)) socket.end(tooLate)
        else answer(socket)
        seen.add(socket)
      }
      // There are two, and the last one is used first.
      expect([await get(), await get(), await get()]).include(408)
    })

    it('none is tried again after one failed, until a request has opened one for itself', async () => {
      await get()
      const port = await moody.close()
      expect(await get()).equal(200)
      await until(() => count('upstreamNotOpened') === 1)
      for (let i = 0; i < 5; i++) expect(await get()).equal(200)
      await aWhile()
      expect(count('upstreamNotOpened')).equal(1)
      expect(gateway.lines).deep.equal([])
      await moody.open(port)
      await get()
      await aWhile()
      expect(moody.sockets).length(1)
      expect(await Promise.all([get(), get()])).deep.equal([200, 200])
      await until(() => count('upstreamOpen') === 2)
      expect(await Promise.all([get(), get()])).deep.equal([200, 200])
      await until(() => count('upstreamOpen') === 3)
    })
  })

  describe('and are still on their way', () => {
    let secure: Upstream
    let terminator: Server
    let wire: TcpProxy
    let accepted: number

    beforeEach(async () => {
      secure = await startUpstream()
      accepted = 0
      terminator = tls.createServer({ cert: certificate, key: certificateKey }, (socket) => {
        accepted++
        const inside = net.connect(secure.port, '127.0.0.1')
        for (const end of [socket, inside]) end.on('error', () => {})
        socket.pipe(inside).pipe(socket)
        socket.on('close', () => inside.destroy())
        inside.on('close', () => socket.destroy())
      })
      await once(terminator.listen(0, '127.0.0.1'), 'listening')
      releases.push(() => terminator.close())
      wire = await TcpProxy.to('127.0.0.1', (terminator.address() as AddressInfo).port)
      releases.push(() => wire.stop())
    })

    const startSecurely = (options: Omit<HttpOutboundOptions, 'clock'> = {}) =>
      start(`https://localhost:${wire.port}`, {
        ...{ spares: 1, trust: new Trust({ authorities: certificate }) },
        ...options,
      })

    /** One request is held by the upstream, and what is opened ahead of the next hangs in its handshake until it is cut. */
    async function hang(): Promise<{ held: Held; cut: () => void }> {
      let kept: Wire | undefined
      const hanging = Promise.withResolvers<Wire>()
      wire.onRequest = (_data, own) => {
        kept ??= own
        if (own === kept) return
        own.deaf()
        wire.onRequest = () => {}
        hanging.resolve(own)
      }
      await get()
      const held = new Held(secure)
      await held.ask(1)
      const { cut } = await hanging.promise
      return { held, cut }
    }

    it('they are open for TLS once they are, too', async () => {
      await startSecurely()
      await askTwice()
      await until(() => count('upstreamOpen') === 2)
      expect(accepted).equal(2)
      const held = new Held(secure)
      await held.ask(2)
      expect(count('upstreamReused')).equal(3)
      await held.answer()
    })

    it('a request takes the one that is on its way, and none is opened for it', async () => {
      await startSecurely()
      await get()
      wire.delayMs = 100
      const held = new Held(secure)
      await held.ask(1)
      await held.ask(1)
      expect([accepted, count('upstreamOpened'), count('upstreamReused')]).deep.equal([2, 2, 1])
      await held.answer()
    })

    for (const method of ['GET', 'POST']) {
      it(`${method} on one that fails on its way gets one of its own: nothing was sent`, async () => {
        await startSecurely()
        const { held, cut } = await hang()
        secure.answer = undefined
        const reply = get({ method, ...(method === 'POST' && { body: 'body' }) })
        await until(() => count('requests') === 3)
        await aWhile()
        expect(secure.connections).equal(1)
        cut()
        expect(await reply).equal(200)
        expect(count('upstreamNotOpened')).equal(1)
        expect(gateway.lines).deep.equal([])
        await held.answer()
      })
    }

    it('they are closed when they are still so after the time that one may be idle', async () => {
      await startSecurely({ idleMs: 100, timeouts: { readMs: 400 } })
      const { held } = await hang()
      await held.answer()
      await until(() => count('upstreamNotOpened') === 1 && count('upstreamOpen') === 0)
    })

    it('they are closed with the gateway', async () => {
      await startSecurely()
      const { held } = await hang()
      gateway.outbound.stop()
      await until(() => count('upstreamNotOpened') === 1)
      await held.answer()
    })
  })

  describe('and a request for another protocol', () => {
    const websocket = ['Host', 'test', 'Connection', 'Upgrade', 'Upgrade', 'websocket']
    const upgrade: Asked = { headers: [...websocket, 'Sec-WebSocket-Version', '13'] }
    let upstream: Upstream

    beforeEach(async () => {
      upstream = await startUpstream()
    })

    it('takes none of them', async () => {
      await start(upstream.url)
      await askTwice()
      await until(() => count('upstreamOpen') === 2)
      expect(await get(upgrade)).equal(200)
      expect(upstream.connections).equal(3)
    })

    it('has one closed where there is no room for its own', async () => {
      await start(upstream.url, { spares: 1, socketsMax: 2 })
      await askTwice()
      await until(() => count('upstreamOpen') === 2)
      expect(await get(upgrade)).equal(200)
      expect([upstream.connections, count('upstreamOpen')]).deep.equal([3, 2])
    })
  })
})
