// Workers that a plugin holds up for good are named, ended and replaced, while the others serve; a main thread that breaks
// leaves in order.
import { execFileSync } from 'node:child_process'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { NodeProcess } from '../support/node-process.ts'
import { exchange } from '../support/raw-http.ts'
import { root } from '../support/sources.ts'

/** A plugin that does to its thread what the request asks for. */
const holding = `
  import { execFileSync } from 'node:child_process'
  import { definePlugin } from ${JSON.stringify(join(root, 'src/plugins/plugin.ts'))}
  import { isMainThread } from 'node:worker_threads'
  if (isMainThread) process.on('SIGUSR2', () => { throw new Error('as asked') })
  const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  function turnForever() {
    for (;;) {}
  }
  export const plugin = definePlugin({
    name: 'holding',
    phases: {
      async access({ headers }) {
        const ask = headers.get('x-do')
        if (ask === 'turn') turnForever()
        if (ask === 'call') execFileSync('cat', [headers.get('x-file')])
        if (ask?.startsWith('wait')) wait(Number(ask.slice(4)))
        if (ask !== 'later') return
        await new Promise((resolve) => setTimeout(resolve))
        turnForever()
      },
    },
  })`

describe('a node that a plugin holds up or breaks', () => {
  let group: NodeGroup
  let node: NodeProcess
  let api: string
  /** Where its output was when the test began. */
  let from: number

  before(async () => {
    group = await NodeGroup.make()
    node = await NodeProcess.prepare(group.database, {
      workers: 2,
      worker_timeout: '1s',
      custom_plugins: ['./holding.mjs'],
    })
    await writeFile(join(node.dir, 'holding.mjs'), holding)
    await node.launch()
    group.nodes.push(node)
    const { upstream } = group
    api = (await node.ask('POST', '/apis', { name: 'a', request_path: '/a', upstream_url: upstream.url }))
      .body.id
    await node.ask('POST', '/apis/a/plugins', { name: 'holding' })
  })

  after(() => group.remove())

  beforeEach(() => {
    from = node.output.length
  })

  const hold = (what: string, path = '/a/held?apikey=secret') =>
    node.call(path, { headers: { 'x-do': what } }).catch(() => 'cut')

  const line = (sentence: string) => {
    const found = node.output
      .slice(from)
      .split('\n')
      .find((text) => text.includes(sentence))
    return JSON.parse(found as string)
  }

  const metric = async (name: string) =>
    Number(new RegExp(`^${name} (.*)$`, 'm').exec((await node.ask('GET', '/metrics')).text)?.[1])

  it('says which plugin turns in which request, cuts its connections, and replaces it', async () => {
    const [deaths, hangs] = [
      await metric('troop_worker_deaths_total'),
      await metric('troop_worker_hangs_total'),
    ]
    expect(await hold('turn')).to.equal('cut')
    await node.logged(/a worker was replaced/, from)
    const { stack, ...said } = line('a worker hangs and is replaced')
    expect(said).to.include({
      level: 50,
      plugin: 'holding',
      phase: 'access',
      api,
      request: 'GET /a/held',
      busy: true,
    })
    expect(said.stoodStillMs).to.be.within(1000, 5000)
    expect(stack[0]).to.match(/file:.*holding\.mjs:\d+/)
    expect(node.output.slice(from)).not.to.include('secret')
    expect(await metric('troop_worker_deaths_total')).to.equal(deaths + 1)
    expect(await metric('troop_worker_hangs_total')).to.equal(hangs + 1)
    expect((await node.ask('GET', '/health')).body.workers).to.deep.equal({
      running: 2,
      wanted: 2,
      hanging: 0,
    })
  })

  it('names by its stack what a plugin does after it waited', async () => {
    expect(await hold('later')).to.equal('cut')
    await node.logged(/a worker was replaced/, from)
    const { stack, plugin, last } = line('a worker hangs and is replaced')
    expect(stack[0]).to.match(/file:.*holding\.mjs:\d+/)
    expect([plugin, last.plugin]).to.deep.equal([undefined, 'holding'])
  })

  it('tells one that waits from one that turns', async () => {
    expect(await hold('wait60000')).to.equal('cut')
    await node.logged(/a worker was replaced/, from)
    expect(line('a worker hangs and is replaced')).to.include({ plugin: 'holding', busy: false })
  })

  it('serves by its other workers meanwhile', async () => {
    const held = hold('turn')
    const open = Array.from({ length: 30 }, () => node.call('/a', { headers: { connection: 'close' } }))
    // The system hands some of them to the worker that hangs: these are cut with it.
    const outcomes = await Promise.allSettled(open)
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).to.be.greaterThan(0)
    expect(await held).to.equal('cut')
    await node.logged(/a worker was replaced/, from)
    expect((await node.call('/a')).status).to.equal(200)
  })

  it('blames nobody when the whole process was stopped for longer', async () => {
    node.signal('SIGSTOP')
    // What is tested is that time passes.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    node.signal('SIGCONT')
    // The watchdog looks several times meanwhile.
    expect(await hold('wait500')).to.include({ status: 200 })
    expect(node.output.slice(from)).not.to.match(/hangs|stood still/)
  })

  it('answers nothing older than it has acknowledged, when a worker goes on that was held up', async () => {
    await node.ask('POST', '/apis', { name: 'b', request_path: '/b', upstream_url: group.upstream.url })
    const release = callOf('held-b')
    const port = Number(new URL(node.proxy).port)
    const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: test\r\n${more}\r\n`
    const held = `x-do: call\r\nx-file: ${release.path}\r\n`
    // The second is read together with the first: nothing comes between them but what the worker looks up.
    const answers = exchange(port, `${get('/a', held)}${get('/b', 'Connection: close\r\n')}`)
    const finish = await release.held
    expect((await node.ask('DELETE', '/apis/b')).headers.get('x-troop-applied')).to.equal('1/1')
    await finish()
    expect((await answers).match(/HTTP\/1.1 (\d+)/g)).to.deep.equal(['HTTP/1.1 200', 'HTTP/1.1 404'])
  })

  it('says that it cannot end a worker in a call of the system, replaces it, and lets it go when that returns', async () => {
    const release = callOf('held')
    const held = node.call('/a', { headers: { 'x-do': 'call', 'x-file': release.path } }).catch(() => 'cut')
    const finish = await release.held
    await node.logged(/a worker was replaced/, from)
    expect(line('a worker that hangs cannot be ended').where).to.include({ plugin: 'holding', inside: true })
    expect((await node.ask('GET', '/health')).body.workers).to.deep.equal({
      running: 2,
      wanted: 2,
      hanging: 1,
    })
    expect(await metric('troop_workers_hanging')).to.equal(1)
    await finish()
    expect(await held).to.equal('cut')
    await until(async () => (await node.ask('GET', '/health')).body.workers.hanging === 0)
  })

  it('leaves the cluster and ends with a code of its own after an error that nobody handles', async () => {
    const other = await group.start({ custom_plugins: [join(node.dir, 'holding.mjs')] })
    other.signal('SIGUSR2')
    expect(await other.ended()).to.equal(70)
    expect(other.output).to.match(/"message":"as asked".*an error that nobody handles ends the node/)
    const members = (await node.ask('GET', '/cluster')).body.data as { status: string }[]
    expect(members.map(({ status }) => status).sort()).to.deep.equal(['alive', 'left'])
  })

  it('ends when it is told to, although a worker cannot be ended', async () => {
    const release = callOf('held-last')
    const held = node.call('/a', { headers: { 'x-do': 'call', 'x-file': release.path } }).catch(() => 'cut')
    const finish = await release.held
    await node.logged(/cannot be ended/, from)
    node.signal('SIGTERM')
    await node.ended()
    expect(node.output.slice(from)).to.match(/"msg":"stopped"/)
    expect(await held).to.equal('cut')
    await finish()
  })

  /** A call that returns when it is told to: it reads a pipe. `held` resolves when it does, with what ends it. */
  function callOf(name: string) {
    const path = join(node.dir, name)
    execFileSync('mkfifo', [path])
    // To open one end waits for the other.
    const held = open(path, 'w').then((pipe) => () => pipe.close())
    return { path, held }
  }
})
