// Clients that take their time, over real sockets, with small bounds: what a trickle can put off, and what not.
import type { Socket } from 'node:net'
import { expect } from 'chai'
import { Counters } from '../../src/proxy/counters.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { inEachLane } from '../support/lanes.ts'
import { until } from '../support/log.ts'
import { connect, connectTls, exchange } from '../support/raw-http.ts'

inEachLane('slow clients', (lane) => {
  let upstream: Upstream
  let gateway: TestGateway

  async function start(options: TestGatewayOptions): Promise<void> {
    gateway = await new TestGateway({ lane, ...options }).start()
    gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  }

  beforeEach(async () => {
    upstream = await new Upstream().start()
  })
  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const refusals = () => new Counters(gateway.counters).refusals

  /** Sends `piece` each 15 ms until the other side closes; resolves with all that came back. */
  async function trickle(socket: Socket, piece: string): Promise<string> {
    let received = ''
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
    })
    const timer = setInterval(() => socket.write(piece), 15)
    await new Promise<void>((resolve) => socket.once('end', resolve).once('close', () => resolve()))
    clearInterval(timer)
    socket.destroy()
    return received
  }

  const get = 'GET / HTTP/1.1\r\nHost: test\r\n'
  const upload = 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n'

  it('a head that trickles is 408 in its time, the first and the next', async () => {
    await start({ limits: { headMs: 150 } })
    const first = await connect(gateway.port)
    first.write(get)
    const next = await connect(gateway.port)
    next.write(`${get}\r\n${get}`)
    const [one, two] = await Promise.all([trickle(first, 'x'), trickle(next, 'x')])
    expect(one).match(/^HTTP\/1\.1 408 .*Server: troop.*"The header took too long"/s)
    expect(two).match(/^HTTP\/1\.1 200 .*HTTP\/1\.1 408 /s)
    expect(refusals()['slow-head']).equal(2)
  })

  it('empty lines for ever are no way to stay', async () => {
    await start({ limits: { headMs: 150, idleMs: 150 } })
    const idle = await connect(gateway.port)
    idle.write(`${get}\r\n`)
    const all = await Promise.all([trickle(await connect(gateway.port), '\r\n'), trickle(idle, '\r\n')])
    expect(all.map((text) => /HTTP\/1\.1 408 /.test(text))).deep.equal([true, true])
  })

  it('who never says a word is closed without one; so is who has had an answer, after the idle time', async () => {
    await start({ limits: { headMs: 100, idleMs: 100 } })
    expect(await exchange(gateway.port, '')).equal('')
    expect(await exchange(gateway.port, `${get}\r\n`)).match(/^HTTP\/1\.1 200 (?!.*HTTP)/s)
    expect(refusals()['slow-head']).equal(0)
  })

  for (const port of ['plain', 'tls'] as const) {
    it(`an upload that trickles is 408, and never a whole one upstream (${port})`, async () => {
      await start({ limits: { upload: { graceMs: 150, bytesPerSecond: 50_000 } } })
      const gone = Promise.withResolvers<void>()
      upstream.answer = (request) => void request.on('error', () => gone.resolve()).resume()
      const socket = await (port === 'tls' ? connectTls(gateway.tlsPort) : connect(gateway.port))
      socket.write(upload)
      expect(await trickle(socket, 'x')).match(/^HTTP\/1\.1 408 .*"The body came too slowly"/s)
      await gone.promise
      expect(refusals()['slow-upload']).equal(1)
    })
  }

  it('an upload at its rate may take many times the grace', async () => {
    await start({ limits: { upload: { graceMs: 150, bytesPerSecond: 500 } } })
    const socket = await connect(gateway.port)
    socket.write('POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n')
    // 100 bytes each 15 ms: 300 ms, at the least.
    let sent = 0
    const timer = setInterval(() => {
      if (sent < 2000) socket.write('x'.repeat(100))
      sent += 100
    }, 15)
    let received = ''
    for await (const chunk of socket) received += String(chunk)
    clearInterval(timer)
    expect(received).match(/^HTTP\/1\.1 200 /)
  })

  it('a client that takes nothing, or next to nothing, of its reply is cut, and its upstream let go', async () => {
    await start({ limits: { download: { graceMs: 150, bytesPerSecond: 1_000_000 } } })
    const gone = Promise.withResolvers<void>()
    const body = Buffer.alloc(1024 * 1024)
    upstream.answer = (_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(body)) {}
      }
      response.on('drain', more).on('close', () => gone.resolve())
      more()
    }
    const socket = await connect(gateway.port)
    socket.on('error', () => {})
    socket.write(`${get}\r\n`)
    socket.pause()
    const timer = setInterval(() => socket.read(1), 20)
    await gone.promise
    clearInterval(timer)
    socket.destroy()
    expect(refusals()['slow-download']).equal(1)
  })

  it('so is one that asks again and again and takes no answer, each of them small', async () => {
    await start({ limits: { download: { graceMs: 150, bytesPerSecond: 1_000_000 } } })
    upstream.answer = (_request, response) => response.end(Buffer.alloc(30_000))
    const socket = await connect(gateway.port)
    socket.on('error', () => {})
    socket.pause()
    // More than the system holds for a reader that does not read.
    socket.write(`${get}\r\n`.repeat(1500))
    await until(() => refusals()['slow-download'] === 1)
    socket.destroy()
  })

  it('connections beyond the bound are closed at once and counted, and those that are open go on', async () => {
    await start({ limits: { connectionsMax: 1 } })
    const kept = await connect(gateway.port)
    expect(await exchange(gateway.port, `${get}\r\n`)).equal('')
    expect(refusals().connections).equal(1)
    kept.write(`${get}Connection: close\r\n\r\n`)
    let received = ''
    for await (const chunk of kept) received += String(chunk)
    expect(received).match(/^HTTP\/1\.1 200 /)
  })

  it('each bound of a head is the one that is set', async () => {
    const limits = { requestLineBytesMax: 300, fieldLineBytesMax: 400, fieldsMax: 16, headBytesMax: 1024 }
    await start({ limits })
    const status = async (bytes: string) => Number((await exchange(gateway.port, bytes)).slice(9, 12))
    const close = 'Connection: close\r\n'
    expect(await status(`GET /${'a'.repeat(286)} HTTP/1.1\r\nHost: test\r\n${close}\r\n`)).equal(200)
    expect(await status(`GET /${'a'.repeat(287)} HTTP/1.1\r\nHost: test\r\n${close}\r\n`)).equal(414)
    expect(await status(`${get}X: ${'y'.repeat(395)}\r\n${close}\r\n`)).equal(200)
    expect(await status(`${get}X: ${'y'.repeat(396)}\r\n${close}\r\n`)).equal(431)
    expect(await status(`${get}${'X: y\r\n'.repeat(14)}${close}\r\n`)).equal(200)
    expect(await status(`${get}${'X: y\r\n'.repeat(15)}${close}\r\n`)).equal(431)
    expect(await status(`${get}${`X: ${'y'.repeat(295)}\r\n`.repeat(4)}${close}\r\n`)).equal(431)
  })
})
