// Plugins of all APIs on real nodes: a change through one of them is honoured by every worker of the others as soon as
// the write returns, by whichever lists these hold already.
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { Answer, NodeProcess } from '../support/node-process.ts'
import { ask } from '../support/raw-http.ts'

describe('plugins of all APIs', function () {
  this.timeout(120_000)
  let group: NodeGroup
  let one: NodeProcess
  let two: NodeProcess

  before(async () => {
    group = await NodeGroup.make()
    ;[one, two] = (await Promise.all([group.start({ workers: 2 }), group.start({ workers: 2 })])) as [
      NodeProcess,
      NodeProcess,
    ]
    for (const name of ['a', 'b']) {
      await write(one, 'POST', '/apis', { name, request_path: `/${name}`, upstream_url: group.upstream.url })
    }
    await write(one, 'POST', '/consumers', { username: 'bob' })
    await write(one, 'POST', '/consumers/bob/key-auth', { key: 'bobs' })
  })
  after(() => group.remove())

  /** Writes, and expects that both nodes have it. */
  const write = async (
    node: NodeProcess,
    method: string,
    path: string,
    body?: JsonObject,
  ): Promise<Answer> => {
    const answered = await node.ask(method, path, body)
    expect(answered.status, JSON.stringify(answered.body)).within(200, 204)
    expect(answered.headers.get('x-troop-applied')).equal('2/2')
    return answered
  }

  /** Statuses of many requests to a node, each over a connection of its own, so that both of its workers have some. */
  const statuses = async (node: NodeProcess, path: string, key?: string) => {
    const port = Number(new URL(node.proxy).port)
    const headers = ['Host', 'x', ...(key === undefined ? [] : ['apikey', key])]
    const all = await Promise.all(Array.from({ length: 12 }, () => ask(port, path, { headers })))
    return [...new Set(all.map(({ status }) => status))]
  }
  const expectEverywhere = async (path: string, status: number, key?: string) => {
    for (const node of [two, one]) expect(await statuses(node, path, key), path).deep.equal([status])
  }

  it('begin, change and end on all nodes at once, and give way to that of an API', async () => {
    for (const path of ['/a', '/b']) await expectEverywhere(path, 200)
    const { body: guard } = await write(one, 'POST', '/plugins', { name: 'key-auth' })
    for (const path of ['/a', '/b']) await expectEverywhere(path, 401)

    await write(two, 'PATCH', `/plugins/${guard.id}`, { config: { key_names: ['x-key'] } })
    await expectEverywhere('/a', 401, 'bobs')
    const { body: own } = await write(two, 'POST', '/apis/a/plugins', { name: 'key-auth' })
    await expectEverywhere('/a', 200, 'bobs')
    await expectEverywhere('/b', 401, 'bobs')

    await write(one, 'DELETE', `/plugins/${own.id}`)
    await expectEverywhere('/a', 401, 'bobs')
    await write(two, 'DELETE', `/plugins/${guard.id}`)
    for (const path of ['/a', '/b']) await expectEverywhere(path, 200)
  })

  it('of a consumer apply to it everywhere, and give way to that of it at one API', async () => {
    const { body: guard } = await write(one, 'POST', '/plugins', { name: 'key-auth' })
    for (const path of ['/a', '/b']) await expectEverywhere(path, 200, 'bobs')
    const restriction = (address: string) => ({ name: 'ip-restriction', config: { whitelist: [address] } })
    const { body: away } = await write(one, 'POST', '/consumers/bob/plugins', restriction('10.8.8.8'))
    for (const path of ['/a', '/b']) await expectEverywhere(path, 403, 'bobs')

    const here = { ...restriction('127.0.0.1'), consumer_id: away.consumer_id }
    const { body: own } = await write(two, 'POST', '/apis/b/plugins', here)
    await expectEverywhere('/a', 403, 'bobs')
    await expectEverywhere('/b', 200, 'bobs')

    for (const { id } of [own, away, guard]) await write(two, 'DELETE', `/plugins/${id}`)
    for (const path of ['/a', '/b']) await expectEverywhere(path, 200, 'bobs')
  })
})
