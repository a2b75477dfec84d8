// Nodes that answer nothing once they can't be certain to know everything: with `on_stale: refuse` on all of them, what
// a complete write has ended is served nowhere, whoever can't be reached.
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { NodeProcess } from '../support/node-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const maxStalenessMs = 3000

describe('a node that must not be too old', function () {
  this.timeout(90_000)
  let group: NodeGroup
  let wire: TcpProxy
  /** Reaches the datastore directly. */
  let one: NodeProcess
  /** Reaches it through the wire. */
  let cut: NodeProcess

  const settings = {
    cluster: { max_staleness: `${maxStalenessMs}ms`, on_stale: 'refuse', heartbeat_interval: '500ms' },
  }
  const start = async (autoJoin: boolean) => {
    group = await NodeGroup.make()
    wire = await TcpProxy.to(group.database.host, group.database.port)
    const cluster = { ...settings.cluster, 'auto-join': autoJoin }
    one = await group.start({ ...settings, cluster })
    cut = await NodeProcess.start({ ...group.database, port: wire.port }, { ...settings, cluster })
    group.nodes.push(cut)
    await one.ask('POST', '/apis', {
      name: 'a',
      request_path: '/a',
      upstream_url: `${group.upstream.url}/v0`,
    })
    await until(async () => (await cut.call('/a')).status === 200)
  }
  const stop = async () => {
    await group?.remove()
    await wire?.stop()
  }

  let version = 0
  const change = () => one.ask('PATCH', '/apis/a', { upstream_url: `${group.upstream.url}/v${++version}` })
  const nameOf = async (node: NodeProcess) =>
    (await group.database.query('select name from nodes order by life')).map(({ name }) => name as string)[
      node === one ? 0 : 1
    ] as string

  describe('and knows the others', () => {
    before(() => start(true))
    after(stop)

    it('goes on without the datastore for as long as another node tells it that nothing is missing', async () => {
      await until(async () => (await one.ask('GET', '/cluster?status=alive')).body.total === 2)
      wire.isolate()
      const cutAt = systemClock.monotonic()
      while (systemClock.monotonic() - cutAt < 2.5 * maxStalenessMs) {
        expect((await change()).headers.get('x-troop-applied')).to.equal('2/2')
        const { status, body } = await cut.call('/a')
        expect(status).to.equal(200)
        expect(body.url).to.equal(`/v${version}/a`)
      }
    })
  })

  /** Kept apart: the datastore is all that they have in common. */
  describe('and knows of the datastore alone', () => {
    before(() => start(false))
    after(stop)
    beforeEach(async () => {
      wire.mend()
      await until(async () => (await cut.call('/a')).status === 200)
    })

    it('serves nothing once it is cut off from all, and until then is never taken for complete', async () => {
      wire.isolate()
      const cutAt = systemClock.monotonic()
      let servedAt = cutAt
      for (let isServing = true; isServing; ) {
        const askedAt = systemClock.monotonic()
        isServing = (await cut.call('/a')).status === 200
        if (isServing) servedAt = askedAt
      }
      expect(servedAt - cutAt).to.be.below(maxStalenessMs)
      const refused = await cut.call('/a')
      expect(refused.status).to.equal(503)
      expect(refused.headers.get('retry-after')).to.equal('1')
      expect((await change()).headers.get('x-troop-applied')).to.equal('1/2')
      wire.mend()
      await until(async () => (await cut.call('/a')).status === 200)
      expect((await cut.call('/a')).body.url).to.equal(`/v${version}/a`)
    })

    it('is counted after it was forced out, for as long as it may serve', async () => {
      const { length } = cut.output
      wire.isolate()
      await one.ask('DELETE', `/cluster?name=${encodeURIComponent(await nameOf(cut))}`)
      const first = await change()
      expect(first.headers.get('x-troop-applied')).to.equal('1/2')
      expect(first.headers.get('x-troop-lagging')).to.equal(await nameOf(cut))
      await until(async () => (await change()).headers.get('x-troop-applied') === '1/1')
      // From here on a write is complete: then it must not serve what was before.
      expect((await cut.call('/a')).status).to.equal(503)
      wire.mend()
      await cut.logged(/it has registered anew/, length)
      await until(async () => (await cut.call('/a')).status === 200)
      expect((await cut.call('/a')).body.url).to.equal(`/v${version}/a`)
    })
  })
})
