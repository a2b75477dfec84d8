// Limits held by real nodes: over all threads of one, over several nodes, and through an outage of the datastore.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { type Answer, NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, type TestServer, testServer } from '../support/postgres.ts'
import { root } from '../support/sources.ts'

/** Ends the thread that it runs on when a request says so. */
const fragile = `
  import { definePlugin } from ${JSON.stringify(join(root, 'src/plugins/plugin.ts'))}
  export const plugin = definePlugin({
    name: 'fragile',
    phases: {
      access(request) {
        if (request.headers.has('x-die')) setTimeout(() => { throw new Error('died as asked') })
        return undefined
      },
    },
  })`

const statuses = (answers: readonly Answer[]) => {
  const counts: Record<string, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** What each answer that passed says is left, from most to least. */
const leftOf = (answers: readonly Answer[], period: string) =>
  answers
    .filter(({ status }) => status === 200)
    .map(({ headers }) => Number(headers.get(`x-ratelimit-remaining-${period}`)))
    .sort((a, b) => b - a)

const countdown = (limit: number) => Array.from({ length: limit }, (_, i) => limit - 1 - i)

/** Each on a connection of its own, so that they reach all threads. */
const call = (node: NodeProcess, path: string, headers = {}) =>
  node.call(path, { headers: { connection: 'close', ...headers } })

async function limitedApi(node: NodeProcess, name: string, url: string, config: JsonObject): Promise<void> {
  await node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: url })
  const made = await node.ask('POST', `/apis/${name}/plugins`, { name: 'rate-limiting', config })
  expect(made.status).to.equal(201)
}

describe('rate-limiting on real nodes', function () {
  this.timeout(120_000)
  let group: NodeGroup
  before(async () => {
    group = await NodeGroup.make()
  })
  after(() => group.remove())

  it('the policy local lets exactly as many of 1,000 requests at once pass a node as it may, over all its threads', async () => {
    const node = await group.start({ workers: 4 })
    await limitedApi(node, 'local', group.upstream.url, { day: 100, policy: 'local' })
    const answers = await Promise.all(Array.from({ length: 1000 }, () => call(node, '/local')))
    expect(statuses(answers)).to.deep.equal({ 200: 100, 429: 900 })
    expect(leftOf(answers, 'day')).to.deep.equal(countdown(100))
  })

  it('what a thread counted outlives it', async () => {
    const [node] = group.nodes as [NodeProcess]
    await mkdir(join(node.dir, 'plugins'))
    await writeFile(join(node.dir, 'plugins', 'fragile.mjs'), fragile)
    await node.configure({ workers: 4, custom_plugins: ['./plugins/fragile.mjs'] })
    node.signal('SIGHUP')
    await node.logged(/"msg":"reloaded"/)
    await limitedApi(node, 'fragile', group.upstream.url, { day: 60, policy: 'local' })
    await node.ask('POST', '/apis/fragile/plugins', { name: 'fragile' })
    const before = await Promise.all(Array.from({ length: 40 }, () => call(node, '/fragile')))
    expect(statuses(before)).to.deep.equal({ 200: 40 })
    await call(node, '/fragile', { 'x-die': '1' }).catch(() => undefined)
    await node.logged(/a worker was replaced/)
    const after = await Promise.all(Array.from({ length: 40 }, () => call(node, '/fragile')))
    expect(statuses(after)).to.deep.equal({ 200: 19, 429: 21 })
    // Nodes without the plugin do not start while it is configured.
    await node.ask('DELETE', '/apis/fragile')
  })

  it('the policy cluster, which is the default, holds one limit over all nodes together', async () => {
    const [first] = group.nodes as [NodeProcess]
    const second = await group.start({ workers: 2 })
    await limitedApi(first, 'shared', group.upstream.url, { day: 50 })
    await limitedApi(first, 'turns', group.upstream.url, { day: 6, month: 8 })
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, i) => call(i % 2 === 0 ? first : second, '/shared')),
    )
    expect(statuses(answers)).to.deep.equal({ 200: 50, 429: 250 })
    expect(leftOf(answers, 'day')).to.deep.equal(countdown(50))

    for (const left of countdown(6)) {
      const answer = await call(left % 2 === 0 ? first : second, '/turns')
      expect(leftOf([answer], 'day')).to.deep.equal([left])
    }
    for (const node of [first, second]) {
      const answer = await call(node, '/turns')
      expect(answer.status).to.equal(429)
      expect(answer.headers.get('x-ratelimit-remaining-month')).to.equal('2')
    }
  })

  it('requests decided ahead of their count are soon told what passed on the other node', async () => {
    const [first, second] = group.nodes as [NodeProcess, NodeProcess]
    await limitedApi(first, 'ahead', group.upstream.url, { day: 1000, async: true })
    for (let i = 0; i < 20; i++) expect((await call(first, '/ahead')).status).to.equal(200)
    await until(async () => {
      const answer = await call(second, '/ahead')
      const [row] = await group.database.query(
        `select used[4]::int as used from ratelimiting_metrics
         join apis on apis.id = api_id where apis.name = 'ahead'`,
      )
      return 1000 - Number(answer.headers.get('x-ratelimit-remaining-day')) >= 21 && row.used >= 21
    })
  })

  it('a node that stops has counted what it let through', async () => {
    const [first, second] = group.nodes as [NodeProcess, NodeProcess]
    await limitedApi(first, 'stopping', group.upstream.url, { day: 1000, async: true })
    for (let i = 0; i < 30; i++) expect((await call(second, '/stopping')).status).to.equal(200)
    second.signal('SIGTERM')
    expect(await second.ended()).to.equal(0)
    const answer = await call(first, '/stopping')
    expect(answer.headers.get('x-ratelimit-remaining-day')).to.equal('969')
  })
})

describe('rate-limiting in an outage of the datastore', function () {
  this.timeout(120_000)
  let server: TestServer
  let database: TestDatabase
  let upstream: Upstream
  let node: NodeProcess

  before(async () => {
    server = await testServer()
    database = await server.database()
    upstream = await new Upstream().start()
    node = await NodeProcess.start(database, { workers: 2 })
    await limitedApi(node, 'strict', upstream.url, { day: 100 })
    await limitedApi(node, 'lenient', upstream.url, { day: 100, continue_on_error: true })
    await limitedApi(node, 'local', upstream.url, { day: 60, policy: 'local' })
    for (const path of ['/strict', '/lenient', '/local']) {
      for (let i = 0; i < 20; i++) expect((await call(node, path)).status).to.equal(200)
    }
  })

  after(async () => {
    await node?.remove()
    await upstream?.stop()
    await server?.remove()
  })

  it('does what continue_on_error says, leaves the policy local alone, and goes on counting after it [contract 363, 364]', async () => {
    await server.stop()
    for (let i = 0; i < 20; i++) {
      const strict = await call(node, '/strict')
      expect([strict.status, strict.text]).to.deep.equal([
        500,
        '{"message":"An unexpected error occurred"}\n',
      ])
      const lenient = await call(node, '/lenient')
      expect(lenient.status).to.equal(200)
      for (const { headers } of [strict, lenient])
        expect(headers.has('x-ratelimit-limit-day')).to.equal(false)
      expect((await call(node, '/local')).headers.get('x-ratelimit-remaining-day')).to.equal(String(39 - i))
    }
    await server.start()
    await until(async () => (await call(node, '/strict')).status === 200)
    // What was counted before the outage is still counted; what passed during it is not.
    const answer = await call(node, '/lenient')
    expect(answer.headers.get('x-ratelimit-remaining-day')).to.equal('79')
  })
})
