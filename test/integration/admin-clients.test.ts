// Clients of the Admin API that take their time, or more than their share: what is bounded, over real sockets.
import type { Socket } from 'node:net'
import { expect } from 'chai'
import type { LogFields } from '../../src/base/logger.ts'
import type { AdminLimits } from '../../src/node/admin-clients.ts'
import { AdminServer } from '../../src/node/admin-server.ts'
import { MemoryStore } from '../../src/testing/memory-store.ts'
import { startAdmin, type TestAdmin } from '../support/admin.ts'
import { collect } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { ask, connect } from '../support/raw-http.ts'

describe('slow clients of the Admin API', () => {
  let plain: TestAdmin
  let server: AdminServer
  let port: number
  let lines: { sentence: string; fields: LogFields }[]
  const sockets: Socket[] = []

  before(async () => {
    plain = await startAdmin(new MemoryStore())
    // Long answers.
    for (let i = 0; i < 20; i++) {
      await plain.json('POST', '/apis', {
        request_host: `${i}.com`,
        upstream_url: `http://a.com/${'x'.repeat(1000)}`,
      })
    }
  })
  after(() => plain.stop())
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await server.stop()
  })

  async function start(limits: Partial<AdminLimits>): Promise<void> {
    lines = []
    server = new AdminServer({ ...plain.options, logger: collect(lines) }, undefined, limits)
    port = (await server.start({ host: '127.0.0.1', port: 0 })).port
  }

  async function client(text = ''): Promise<{ received: string; closed: boolean; socket: Socket }> {
    const socket = await connect(port)
    const made = { received: '', closed: false, socket }
    sockets.push(socket)
    socket.on('error', () => {}).once('close', () => (made.closed = true))
    socket.on('data', (chunk) => {
      made.received += String(chunk)
    })
    if (text !== '') socket.write(text)
    return made
  }

  const head = () => `Host: 127.0.0.1:${port}\r\n`
  const get = async () => (await ask(port, '/apis', { headers: ['Host', `127.0.0.1:${port}`] })).status
  /** A POST of so many bytes, with the first of them. */
  const post = (bytes: number) =>
    `POST /apis HTTP/1.1\r\n${head()}Content-Type: application/json\r\nContent-Length: ${bytes}\r\n` +
    'Expect: 100-continue\r\n\r\n{'
  const inHand = ({ received }: { received: string }) => received.startsWith('HTTP/1.1 100')
  /** Why clients were cut. */
  const reasons = () =>
    lines
      .filter(({ sentence }) => sentence === 'a client of the Admin API was cut')
      .map(({ fields }) => fields.reason)

  it('have so long for a head, and for a body; whoever asks meanwhile is answered', async () => {
    await start({ headMs: 200, requestMs: 400 })
    const slowHead = await client('GET /apis HTTP/1.1\r\n')
    const slowBody = await client(post(1000))
    expect(await get()).to.equal(200)
    await until(() => slowHead.closed && slowBody.closed)
    expect([slowHead, slowBody].map(({ received }) => received.slice(0, 12))).to.deep.equal([
      'HTTP/1.1 408',
      'HTTP/1.1 100',
    ])
    expect(slowBody.received).to.match(/HTTP\/1.1 408 /)
  })

  it('are cut when they take nothing of their answers, and the log says so', async () => {
    await start({ download: { graceMs: 100, bytesPerSecond: 1000 } })
    const reader = await client()
    reader.socket.pause()
    // More answers than the system holds for a reader that does not read.
    for (let i = 0; i < 10; i++) {
      reader.socket.write(`GET /apis HTTP/1.1\r\n${head()}\r\n`.repeat(50))
    }
    await until(() => reasons().length > 0)
    expect(reasons()).to.deep.equal(['it does not take its answer'])
    expect(await get()).to.equal(200)
  })

  it('make room when there are too many: the oldest that has nothing in hand', async () => {
    await start({ connectionsMax: 2 })
    const busy = await client(post(1000))
    await until(() => inHand(busy))
    const idle = await client()
    const asking = await client(`GET /apis HTTP/1.1\r\n${head()}\r\n`)
    await until(() => idle.closed && asking.received.startsWith('HTTP/1.1 200'))
    expect(busy.closed).to.equal(false)
    expect(reasons()).to.deep.equal(['too many connections'])
  })

  it('are not let in when all others have something in hand', async () => {
    await start({ connectionsMax: 1 })
    const busy = await client(post(15))
    await until(() => inHand(busy))
    expect(await get().catch((error) => error.code)).to.equal('ECONNRESET')
    busy.socket.write('"a": 1 "b": 2}')
    await until(() => busy.received.includes('HTTP/1.1 400'))
  })
})
