// GET /metrics of real nodes: what is shown is what happened.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { familyGroups } from '../../src/node/metric-families.ts'
import { Exposition } from '../support/exposition.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { NodeProcess } from '../support/node-process.ts'
import { exchange } from '../support/raw-http.ts'
import { root } from '../support/sources.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

/** A plugin that ends its thread when a request says so. */
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

describe('GET /metrics', function () {
  this.timeout(90_000)
  let group: NodeGroup

  const scrape = async (node: NodeProcess) => new Exposition((await node.ask('GET', '/metrics')).text)
  const addApi = (node: NodeProcess, name: string) =>
    node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: group.upstream.url })
  const alive = (node: NodeProcess, count: number) =>
    until(async () => (await node.ask('GET', '/cluster?status=alive')).body.total === count)

  /** What each of these counts, no other one of them touches. */
  describe('of one node', () => {
    let node: NodeProcess
    /** Between it and the datastore. */
    let wire: TcpProxy

    before(async () => {
      group = await NodeGroup.make()
      const { database } = group
      wire = await TcpProxy.to(database.host, database.port)
      node = await NodeProcess.start({ ...database, port: wire.port })
      group.nodes.push(node)
    })
    after(async () => {
      await group?.remove()
      await wire?.stop()
    })
    afterEach(() => wire.mend())

    it('is text of one version of the format, with every family, to GET and HEAD', async () => {
      const answer = await node.ask('GET', '/metrics')
      expect(answer.status).to.equal(200)
      expect(answer.headers.get('content-type')).to.equal('text/plain; version=0.0.4; charset=utf-8')
      const names = familyGroups.flatMap(({ families }) => families.map(({ name }) => name))
      expect([...new Exposition(answer.text).families.keys()]).to.deep.equal(names)
      const head = await node.ask('HEAD', '/metrics')
      expect([head.status, head.text]).to.deep.equal([200, ''])
      expect(head.headers.get('content-type')).to.equal(answer.headers.get('content-type'))
      expect((await node.ask('DELETE', '/metrics')).status).to.equal(405)
    })

    it('tells a miss from a hit on both levels, and a purge', async () => {
      await addApi(node, 'a')
      await node.ask('POST', '/apis/a/plugins', { name: 'key-auth' })
      await node.ask('POST', '/consumers', { username: 'bob' })
      await node.ask('POST', '/consumers/bob/key-auth', { key: 'secret' })
      const call = async () => expect((await node.call('/a?apikey=secret')).status).to.equal(200)
      const counts = async () => {
        const metrics = await scrape(node)
        const of = (name: string, level: string) => metrics.value(`troop_cache_${name}`, { level })
        return {
          misses: [of('misses_total', 'workers'), of('misses_total', 'node')],
          hits: [of('hits_total', 'workers'), of('hits_total', 'node')],
          entries: [of('entries', 'workers'), of('entries', 'node')],
          purges: metrics.value('troop_cache_purges_total'),
        }
      }
      await call()
      const first = await counts()
      expect(first.misses[0]).to.equal(first.misses[1])
      expect(first.misses[0]).to.be.greaterThan(0)
      await call()
      const second = await counts()
      expect(second.misses).to.deep.equal(first.misses)
      expect(second.hits[0]).to.be.greaterThan(first.hits[0] as number)
      expect(second.hits[1]).to.equal(first.hits[1])
      expect(second.entries[0]).to.be.greaterThan(0)
      await node.ask('DELETE', '/cache')
      await call()
      const third = await counts()
      expect(third.purges).to.equal(first.purges + 1)
      expect(third.misses).to.deep.equal([2 * (first.misses[0] as number), 2 * (first.misses[1] as number)])
    })

    it('counts strangers that are refused', async () => {
      const port = Number(/cluster_listen\.+[\d.]+:(\d+)$/m.exec(node.output)?.[1])
      const refused = async () =>
        (await scrape(node))
          .samples('troop_cluster_refused_connections_total')
          .reduce((sum, { value }) => sum + value, 0)
      expect(await refused()).to.equal(0)
      await exchange(port, 'GET / HTTP/1.1\r\n\r\n')
      await until(async () => (await refused()) === 1)
    })

    it('answers while the datastore is away, and says so', async () => {
      const reachable = async () => (await scrape(node)).value('troop_datastore_reachable')
      // On a busy machine one look in a while comes too late.
      await until(async () => (await reachable()) === 1)
      wire.isolate()
      await until(async () => (await reachable()) === 0)
      await until(async () => (await scrape(node)).value('troop_freshness_age_seconds') > 1)
    })
  })

  describe('of nodes that have just been started', () => {
    beforeEach(async () => {
      group = await NodeGroup.make()
    })
    afterEach(() => group.remove())

    it('counts requests by what became of them, and what they took', async () => {
      const node = await group.start()
      await addApi(node, 'a')
      await node.call('/a')
      await node.call('/a')
      await node.call('/nowhere')
      group.upstream.answer = (request) => request.socket.destroy()
      await node.call('/a')
      await until(async () => (await scrape(node)).value('troop_request_duration_seconds_count') === 4)
      const metrics = await scrape(node)
      const responses = (status: string) => metrics.value('troop_responses_total', { status })
      expect(['200', '404', '502'].map(responses)).to.deep.equal([2, 1, 1])
      expect(metrics.value('troop_requests_total')).to.equal(4)
      expect(metrics.value('troop_requests_routed_total')).to.equal(3)
      expect(metrics.value('troop_upstream_failures_total', { kind: 'invalid', reason: 'broken' })).to.equal(
        1,
      )
      expect(metrics.value('troop_proxy_latency_seconds_count')).to.equal(3)
      expect(metrics.value('troop_upstream_latency_seconds_count')).to.equal(2)
      expect(metrics.value('troop_upstream_latency_seconds_sum')).to.be.within(1e-6, 10)
      const ofApi = (status: string) => metrics.value('troop_api_responses_total', { api: 'a', status })
      expect([ofApi('200'), ofApi('502')]).to.deep.equal([2, 1])
      expect(metrics.value('troop_api_proxy_latency_seconds_count', { api: 'a' })).to.equal(3)
      expect(metrics.value('troop_api_upstream_latency_seconds_count', { api: 'a' })).to.equal(2)
      await node.ask('DELETE', '/apis/a')
      const gone = (await scrape(node)).samples('troop_api_responses_total')
      expect(gone.map(({ labels, value }) => [labels, value])).to.have.deep.members([
        [{ api: 'other', status: '200' }, 2],
        [{ api: 'other', status: '502' }, 1],
      ])
    })

    it('tells of a change where it was made and where it came to, and of a node that missed one', async () => {
      const one = await group.start()
      const two = await group.start()
      await Promise.all([alive(one, 2), alive(two, 2)])
      const position = async (node: NodeProcess) => (await scrape(node)).value('troop_log_applied_position')
      await until(async () => (await position(one)) === (await position(two)))
      const before = await Promise.all([scrape(one), scrape(two)])
      const written = await addApi(one, 'a')
      expect(written.headers.get('x-troop-applied')).to.equal('2/2')
      const [writer, other] = [await scrape(one), await scrape(two)]
      // By whichever way was the first.
      const applied = (metrics: Exposition) =>
        metrics.samples('troop_propagation_seconds_count').reduce((sum, { value }) => sum + value, 0)
      expect([writer, other].map(applied)).to.deep.equal(before.map((metrics) => applied(metrics) + 1))
      expect(writer.value('troop_acknowledgements_total')).to.equal(1)
      expect(writer.value('troop_acknowledgements_missed_total')).to.equal(0)
      for (const metrics of [writer, other]) {
        const position = Number(written.headers.get('x-troop-position'))
        expect(metrics.value('troop_log_applied_position')).to.equal(position)
        expect(metrics.value('troop_log_head_position')).to.equal(position)
        expect(metrics.value('troop_log_lag_events')).to.equal(0)
        expect(metrics.value('troop_cluster_members', { status: 'alive' })).to.equal(2)
        expect(metrics.value('troop_cluster_peers')).to.equal(1)
      }
      await until(async () => (await scrape(one)).value('troop_cluster_probe_round_trip_seconds_count') > 0)
      two.signal('SIGSTOP')
      expect((await addApi(one, 'b')).headers.get('x-troop-applied')).to.equal('1/2')
      expect((await scrape(one)).value('troop_acknowledgements_missed_total')).to.equal(1)
      await until(async () => (await scrape(one)).value('troop_cluster_members', { status: 'failed' }) === 1)
      expect((await scrape(one)).value('troop_cluster_accusations_total')).to.be.greaterThan(0)
    })

    it('disturbs no traffic, and lets no number fall, not even when a worker dies', async () => {
      const node = await group.start({ workers: 2 })
      await mkdir(join(node.dir, 'plugins'))
      await writeFile(join(node.dir, 'plugins', 'fragile.mjs'), fragile)
      await node.configure({ custom_plugins: ['./plugins/fragile.mjs'] })
      node.signal('SIGHUP')
      await node.logged(/"msg":"reloaded"/)
      await addApi(node, 'a')
      await node.ask('POST', '/apis/a/plugins', { name: 'fragile' })
      let ending = false
      let answered = 0
      const traffic = Array.from({ length: 8 }, async () => {
        while (!ending) {
          // Those on the thread that dies are cut with it.
          const status = await node.call('/a').then(
            (answer) => answer.status,
            () => undefined,
          )
          if (status !== undefined) expect(status).to.equal(200)
          answered += Number(status === 200)
        }
      })
      let last = new Map<string, number>() as ReadonlyMap<string, number>
      const look = async () => {
        const { rising } = await scrape(node)
        for (const [series, value] of last) expect(rising.get(series), series).to.be.at.least(value)
        last = rising
      }
      for (let i = 0; i < 25; i++) await look()
      await node.call('/a', { headers: { 'x-die': '1' } }).catch(() => undefined)
      await until(async () => {
        await look()
        return (await scrape(node)).value('troop_worker_deaths_total') === 1
      })
      await node.logged(/a worker was replaced/)
      for (let i = 0; i < 25; i++) await look()
      ending = true
      await Promise.all(traffic)
      const metrics = await scrape(node)
      expect(metrics.value('troop_requests_total')).to.be.at.least(answered)
      expect(metrics.value('troop_workers_running')).to.equal(2)
      for (const thread of ['agent', 'workers']) {
        expect(metrics.value('troop_heap_used_bytes', { thread })).to.be.greaterThan(1e6)
        expect(metrics.value('troop_event_loop_delay_seconds_count', { thread })).to.be.greaterThan(0)
      }
      await until(async () =>
        (await scrape(node)).samples('troop_connections').every(({ value }) => value >= 0),
      )
    })
  })
})
