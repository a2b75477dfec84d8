// WebSockets through a whole node: what they outlive, and what ends them.
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { WebSocket, WebSocketServer } from 'ws'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('a WebSocket through a node', () => {
  let database: TestDatabase
  let upstream: WebSocketServer
  let node: NodeProcess

  before(async () => {
    database = await testDatabase()
    upstream = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    upstream.on('connection', (socket) => socket.on('message', (data) => socket.send(`told ${data}`)))
    node = await NodeProcess.start(database, { workers: 2 })
  })
  after(async () => {
    await node?.remove()
    upstream?.close()
    await database?.drop()
  })

  /** Some tests end the node, and some change or remove the API. */
  beforeEach(async () => {
    await node.revive()
    await node.ask('DELETE', '/apis/ws')
    const { port } = upstream.address() as AddressInfo
    const made = await node.ask('POST', '/apis', {
      name: 'ws',
      request_path: '/ws',
      upstream_url: `http://127.0.0.1:${port}`,
    })
    expect(made.status).to.equal(201)
  })
  afterEach(() => {
    for (const socket of upstream.clients) socket.terminate()
  })

  let timeoutS = 50
  /** The node takes a changed setting while it runs. */
  async function reload(): Promise<void> {
    const { length } = node.output
    await node.configure({ proxy: { read_timeout: `${++timeoutS}s` } })
    node.signal('SIGHUP')
    await node.logged(/"applied":\["proxy\.read_timeout"\].*"msg":"reloaded"/, length)
  }

  /** One by HTTP and one by TLS. */
  async function open(): Promise<WebSocket[]> {
    const ca = await readFile(join(node.dir, 'work', 'ssl', 'troop-default.crt'))
    const plain = new WebSocket(`${node.proxy.replace('http', 'ws')}/ws`)
    const secure = new WebSocket(`wss://localhost:${node.tlsPort}/ws`, { ca })
    await Promise.all([once(plain, 'open'), once(secure, 'open')])
    return [plain, secure]
  }

  async function expectEcho(sockets: readonly WebSocket[], text: string): Promise<void> {
    for (const socket of sockets) {
      socket.send(text)
      const [data] = await once(socket, 'message')
      expect(String(data)).to.equal(`told ${text}`)
    }
  }

  it('outlives changes and reloads', async () => {
    const sockets = await open()
    await node.ask('POST', '/apis/ws/plugins', { name: 'key-auth' })
    await expectEcho(sockets, 'after a plugin')
    await reload()
    await expectEcho(sockets, 'after a reload')
    await node.ask('DELETE', '/apis/ws')
    await expectEcho(sockets, 'after its API')
    for (const socket of sockets) socket.terminate()
  })

  it('outlives, with a thousand others, what is configured meanwhile', async function () {
    this.timeout(60_000)
    const url = `${node.proxy.replace('http', 'ws')}/ws`
    const sockets = await Promise.all(
      Array.from({ length: 1000 }, async () => {
        const socket = new WebSocket(url)
        await once(socket, 'open')
        return socket
      }),
    )
    let dropped = 0
    for (const socket of sockets) socket.on('close', () => dropped++)
    const expectEchoes = async (text: string) => {
      const heard = sockets.map((socket) => once(socket, 'message'))
      for (const [i, socket] of sockets.entries()) socket.send(`${text} ${i}`)
      const echoes = (await Promise.all(heard)).map(([data]) => String(data))
      expect(echoes).to.deep.equal(sockets.map((_, i) => `told ${text} ${i}`))
    }
    await expectEchoes('before')
    await node.ask('POST', '/apis', {
      name: 'other',
      request_path: '/other',
      upstream_url: 'http://127.0.0.1:1',
    })
    await node.ask('PATCH', '/apis/ws', { upstream_url: 'http://127.0.0.1:1' })
    await node.ask('POST', '/apis/ws/plugins', { name: 'key-auth' })
    await node.ask('DELETE', '/apis/other')
    await expectEchoes('after changes')
    await reload()
    await expectEchoes('after a reload')
    expect(dropped).to.equal(0)
    for (const socket of sockets) socket.terminate()
    await until(() => upstream.clients.size === 0)
  })

  it('is waited for by quit', async () => {
    const sockets = await open()
    node.signal('SIGQUIT')
    await node.logged(/"msg":"stopping"/)
    await expectEcho(sockets, 'while it quits')
    for (const socket of sockets) socket.close()
    expect(await node.ended()).to.equal(0)
  })

  it('is ended by stop', async () => {
    const sockets = await open()
    const closed = sockets.map((socket) => once(socket, 'close'))
    node.signal('SIGTERM')
    await Promise.all(closed)
    await until(() => upstream.clients.size === 0)
    expect(await node.ended()).to.equal(0)
  })
})
