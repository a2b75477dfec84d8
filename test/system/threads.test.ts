// Workers, reloads and the end of a node, seen from its clients.
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { NodeProcess } from '../support/node-process.ts'
import { root } from '../support/sources.ts'

/** A plugin that marks requests, and ends its thread when a request says so. */
const fragile = (mark: string) => `
  import { definePlugin } from ${JSON.stringify(join(root, 'src/plugins/plugin.ts'))}
  export const plugin = definePlugin({
    name: ${JSON.stringify(mark)},
    phases: {
      access(request) {
        request.headers.set('x-mark', ${JSON.stringify(mark)})
        if (request.headers.has('x-hang')) return new Promise(() => {})
        if (request.headers.has('x-throw')) throw new Error('as asked')
        if (request.headers.has('x-die')) setTimeout(() => { throw new Error('died as asked') })
        return undefined
      },
    },
  })`

describe('a node', () => {
  let group: NodeGroup
  let upstream: Upstream
  let node: NodeProcess
  /** Where its output was when the test began. */
  let from: number

  before(async () => {
    group = await NodeGroup.make()
    upstream = group.upstream
    node = await NodeProcess.prepare(group.database, { workers: 2 })
    group.nodes.push(node)
    await mkdir(join(node.dir, 'plugins'))
    for (const mark of ['fragile', 'other'])
      await writeFile(join(node.dir, 'plugins', `${mark}.mjs`), fragile(mark))
    await usePlugins('fragile')
    await node.launch()
    for (const name of ['a', 'fragile'])
      await node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: upstream.url })
    await node.ask('POST', '/apis/fragile/plugins', { name: 'fragile' })
  })
  after(() => group?.remove())

  /** Some tests end it, and some leave it with other plugins or a configuration that is wrong. */
  beforeEach(async () => {
    upstream.answer = undefined
    await usePlugins('fragile')
    await node.revive()
    from = node.output.length
  })

  const usePlugins = (...marks: string[]) =>
    node.configure({ custom_plugins: marks.map((mark) => `./plugins/${mark}.mjs`) })

  const reload = async (marks: string[], said = /"msg":"reloaded"/) => {
    const { length } = node.output
    await usePlugins(...marks)
    node.signal('SIGHUP')
    await node.logged(said, length)
  }

  it('replaces a worker that dies, and cuts no request of the others', async () => {
    const slow = Array.from({ length: 8 }, () => heldRequest(upstream, `${node.proxy}/a`))
    const open = await Promise.all(slow.map(({ reached }) => reached))
    expect(open).to.have.length(8)
    await node.call('/fragile', { headers: { 'x-die': '1' } }).catch(() => undefined)
    await node.logged(/a worker was replaced/, from)
    for (const { release } of slow) release()
    const outcomes = await Promise.all(slow.map(({ outcome }) => outcome))
    // The kernel spread them over two workers; those on the one that died are lost with it, the others are whole.
    expect(outcomes.filter((outcome) => outcome === 'whole').length).to.be.greaterThan(0)
    upstream.answer = undefined
    for (let i = 0; i < 20; i++) {
      const answer = await node.call('/fragile', { headers: { connection: 'close' } })
      expect(answer.status).to.equal(200)
    }
    expect(node.output.slice(from).match(/a worker died/g)).to.have.length(1)
  })

  it('answers 500 to the one request whose plugin throws', async () => {
    expect((await node.call('/fragile', { headers: { 'x-throw': '1' } })).status).to.equal(500)
    expect((await node.call('/fragile')).status).to.equal(200)
  })

  it('hands new plugins to the same threads, under traffic and without closing a connection', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    const sockets = new Set<unknown>()
    const call = () => statusOn(agent, `${node.proxy}/a`, sockets)
    let calls = 0
    let ending = false
    const traffic = (async () => {
      while (!ending) {
        expect(await call()).to.equal(200)
        calls++
      }
    })()
    for (const marks of [['fragile', 'other'], ['fragile'], ['fragile', 'other']]) await reload(marks)
    ending = true
    await traffic
    agent.destroy()
    expect(sockets.size).to.equal(1)
    expect(calls).to.be.greaterThan(10)
  })

  it('refuses to reload a configuration that is wrong, and goes on', async () => {
    await reload(['fragile', 'absent'], /reload refused/)
    expect(node.output.slice(from)).to.match(/not installed on the system: \.\/plugins\/absent\.mjs/)
    expect((await node.call('/a')).status).to.equal(200)
  })

  it('replaces a worker with what is in force, after a reload was refused', async () => {
    await reload(['fragile', 'absent'], /reload refused/)
    await node.call('/fragile', { headers: { 'x-die': '1' } }).catch(() => undefined)
    await node.logged(/a worker was replaced/, from)
    expect((await node.call('/fragile')).status).to.equal(200)
    expect(node.output.slice(from)).not.to.match(/could not be replaced/)
  })

  it('serves the same after it was killed and started again', async () => {
    node.signal('SIGKILL')
    await node.ended()
    await node.launch()
    expect((await node.call('/a')).status).to.equal(200)
  })

  it('stops although a plugin never answers', async () => {
    const hanging = node.call('/fragile', { headers: { 'x-hang': '1' } }).catch(() => 'cut')
    await until(async () => (await node.ask('GET', '/status')).body.server.connections_writing > 0)
    node.signal('SIGTERM')
    expect(await node.ended()).to.equal(0)
    expect(await hanging).to.equal('cut')
  })

  it('lets open requests finish when told to quit, and takes no new ones', async () => {
    const held = heldRequest(upstream, `${node.proxy}/a`)
    await held.reached
    node.signal('SIGQUIT')
    await node.logged(/"msg":"stopping"/)
    await until(() => refusesConnections(node.proxy))
    held.release()
    expect(await held.outcome).to.equal('whole')
    expect(await node.ended()).to.equal(0)
  })

  it('does not wait for them when told to stop, also after it was told to quit', async () => {
    const held = heldRequest(upstream, `${node.proxy}/a`)
    await held.reached
    node.signal('SIGQUIT')
    await node.logged(/"msg":"stopping"/)
    node.signal('SIGTERM')
    expect(await node.ended()).to.equal(0)
    expect(await held.outcome).to.equal('cut')
    held.release()
  })
})

/** A request whose upstream answers half and then waits for `release`. */
function heldRequest(upstream: Upstream, url: string) {
  const reached = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  upstream.answer = async (_request, response) => {
    response.writeHead(200, { 'content-length': 10 })
    response.write('01234')
    await released.promise
    response.end('56789')
  }
  const outcome = new Promise<'whole' | 'cut'>((resolve) => {
    const request = http.get(url, { agent: false }, (response) => {
      reached.resolve()
      response.resume()
      response.once('end', () => resolve('whole'))
      response.once('error', () => resolve('cut'))
    })
    request.once('error', () => resolve('cut'))
  })
  return { reached: reached.promise, release: released.resolve, outcome }
}

function refusesConnections(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) })
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true))
    socket.once('connect', () => socket.destroy())
  })
}

async function statusOn(agent: http.Agent, url: string, sockets: Set<unknown>): Promise<number> {
  const request = http.get(url, { agent })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  sockets.add(request.socket)
  response.resume()
  await once(response, 'end')
  return response.statusCode as number
}
