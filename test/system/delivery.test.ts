// Each of the ways by which a change comes to a node, alone: whatever else is broken, it converges.
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import { NodeProcess } from '../support/node-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

/** So long that no read of the head takes part. */
const never = '1h'
const key = (byte: number) => Buffer.alloc(32, byte).toString('base64')

describe('a change comes to a node', function () {
  this.timeout(60_000)
  let group: NodeGroup

  beforeEach(async () => {
    group = await NodeGroup.make()
  })
  afterEach(() => group.remove())

  /** Two nodes; the second has `settings` over the first one's. */
  const pair = async (settings: JsonObject, second: JsonObject = {}) => {
    const one = await group.start({ cluster: settings })
    const two = await group.start({ cluster: { ...settings, ...second } })
    return [one, two] as const
  }
  const addApi = (node: NodeProcess, name: string) =>
    node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: group.upstream.url })
  /** Adds APIs through one node and calls them through the other, until each is there. */
  const travels = async (from: NodeProcess, to: NodeProcess) => {
    for (let i = 0; i < 5; i++) {
      expect((await addApi(from, `api-${i}`)).status).to.equal(201)
      await until(async () => (await to.call(`/api-${i}`)).status === 200)
    }
  }

  it('by push alone, where nobody is notified', async () => {
    await group.silence()
    const [one, two] = await pair({ heartbeat_interval: never })
    await until(async () => (await one.ask('GET', '/cluster?status=alive')).body.total === 2)
    for (let i = 0; i < 20; i++) {
      const written = await addApi(i % 2 ? one : two, `api-${i}`)
      expect(written.headers.get('x-troop-applied')).to.equal('2/2')
      expect((await (i % 2 ? two : one).call(`/api-${i}`)).status).to.equal(200)
    }
  })

  it('by notification alone, where nodes can’t talk', async () => {
    const [one, two] = await pair({ heartbeat_interval: never, encrypt: key(1) }, { encrypt: key(2) })
    await travels(one, two)
    await addApi(two, 'last').then(({ headers }) => expect(headers.get('x-troop-applied')).to.equal('1/2'))
  })

  it('by reading the log alone, where nodes can’t talk and nobody is notified', async () => {
    await group.silence()
    const [one, two] = await pair({ heartbeat_interval: '200ms', encrypt: key(1) }, { encrypt: key(2) })
    await travels(one, two)
  })

  it('while that node itself can’t reach the datastore, which is not missed', async () => {
    const { database } = group
    const wire = await TcpProxy.to(database.host, database.port)
    try {
      const one = await group.start()
      const cut = await NodeProcess.start({ ...database, port: wire.port })
      group.nodes.push(cut)
      await until(async () => (await one.ask('GET', '/cluster?status=alive')).body.total === 2)
      await addApi(one, 'before')
      expect((await cut.call('/before')).status).to.equal(200)
      wire.isolate()
      for (let i = 0; i < 10; i++) {
        const written = await one.ask('PATCH', '/apis/before', {
          upstream_url: `${group.upstream.url}/v${i}`,
        })
        expect(written.headers.get('x-troop-applied')).to.equal('2/2')
        expect((await cut.call('/before')).body.url, 'as it was changed').to.include(`/v${i}`)
      }
      expect(
        (await cut.ask('POST', '/apis', { name: 'x', request_path: '/x', upstream_url: 'http://a' })).status,
      ).to.equal(503)
    } finally {
      await wire.stop()
    }
  })
})
