// A node that may have few open files: who is turned away, who is not, and that it is over when they are back.
import http from 'node:http'
import type { Socket } from 'node:net'
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { Exposition } from '../support/exposition.ts'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { ask, connect } from '../support/raw-http.ts'

const filesMax = 160

describe('a node that may have few open files', function () {
  this.timeout(60_000)
  let database: TestDatabase
  let upstream: Upstream
  let node: NodeProcess
  /** One connection, kept. */
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  let clients: { socket: Socket; closed: boolean }[] = []

  before(async () => {
    database = await testDatabase()
    upstream = await new Upstream().start()
  })
  beforeEach(() => {
    clients = []
  })
  afterEach(async () => {
    leave()
    await node?.remove()
  })
  after(async () => {
    agent.destroy()
    await upstream?.stop()
    await database?.drop()
  })

  async function start(settings: JsonObject): Promise<void> {
    node = await NodeProcess.prepare(database, { workers: 1, ...settings })
    await node.launch(filesMax)
    await node.ask('POST', '/apis', { name: 'a', request_path: '/', upstream_url: upstream.url })
  }

  /** Connects so many times; resolves once some of them are turned away. */
  async function flood(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const client = { socket: await connect(port()), closed: false }
      client.socket.on('error', () => {}).once('close', () => (client.closed = true))
      client.socket.resume()
      clients.push(client)
    }
    await until(() => clients.some(({ closed }) => closed))
  }

  function leave(): void {
    for (const { socket } of clients) socket.destroy()
  }

  const port = () => Number(new URL(node.proxy).port)
  const status = async () => (await ask(port(), '/', { agent })).status
  const scrape = async () => new Exposition((await node.ask('GET', '/metrics')).text)

  it('takes as many clients as there is room for; the Admin API and those that are connected notice nothing', async () => {
    await start({})
    expect(node.output).to.match(/leaves room for 39 in each of 1 workers[\s\S]*raise the limit/)
    expect(await status()).to.equal(200)
    await flood(80)
    expect(await status()).to.equal(200)
    await until(() => clients.filter(({ closed }) => closed).length === 80 - 38)
    await node.logged(/"reason":"connections".*"remedy":"raise proxy.connections_max.*"a client was refused"/)
    expect(node.output.match(/a client was refused/g)).to.have.length(1)
    expect((await node.ask('PATCH', '/apis/a', { preserve_host: true })).status).to.equal(200)
    const metrics = await scrape()
    expect(metrics.value('troop_refused_total', { reason: 'connections' })).to.equal(80 - 38)
    expect(metrics.value('troop_open_files_max')).to.equal(filesMax)
    expect(metrics.value('troop_open_files')).to.be.within(60, filesMax - 10)
    leave()
    await until(async () => (await scrape()).value('troop_connections', { state: 'reading' }) === 0)
    expect((await ask(port(), '/')).status).to.equal(200)
  })

  it('and none left: who is connected is served or told 503 by name, and all are again once some are back', async () => {
    await start({ proxy: { connections_max: 1000 } })
    expect(node.output).to.match(/1000 may be more than the node can open/)
    // So that the next request needs a descriptor.
    upstream.answer = (_request, response) => response.setHeader('Connection', 'close').end()
    expect(await status()).to.equal(200)
    await flood(200)
    await until(async () => (await status()) === 503)
    await node.logged(/"exhausted".*raise `ulimit -n`.*"an upstream fails"/)
    leave()
    await until(async () => (await status()) === 200)
    await node.logged(/an upstream answers again/)
    const failures = { kind: 'unavailable', reason: 'exhausted' }
    expect((await scrape()).value('troop_upstream_failures_total', failures)).to.be.at.least(1)
    expect((await node.ask('PATCH', '/apis/a', { preserve_host: false })).status).to.equal(200)
  })
})
