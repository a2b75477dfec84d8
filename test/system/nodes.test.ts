// Several nodes on one datastore: they register, prove their caches anew when one joins, and take their leave.
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import type { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeGroup } from '../support/node-group.ts'
import type { NodeProcess } from '../support/node-process.ts'
import type { TestDatabase } from '../support/postgres.ts'

describe('nodes that share a datastore', function () {
  this.timeout(60_000)
  let group: NodeGroup
  let database: TestDatabase
  let upstream: Upstream
  let nodes: readonly NodeProcess[]

  beforeEach(async () => {
    group = await NodeGroup.make()
    ;({ database, upstream, nodes } = group)
  })
  afterEach(() => group.remove())

  const start = (settings: JsonObject = {}) => group.start(settings)
  const rows = () => database.query('select name, status, life::int from nodes order by created_at, life')
  const counted = async (node: NodeProcess) => (await node.ask('GET', '/status')).body.database.nodes
  const shown = async (node: NodeProcess, key: string) =>
    (await node.ask('GET', `/cache/${key}`)).status === 200

  /** A node whose cache holds the table of APIs and one API's plugins. */
  const warm = async (settings: JsonObject = {}) => {
    const node = await start(settings)
    await node.ask('POST', '/apis', { name: 'a', request_path: '/a', upstream_url: upstream.url })
    const plugin = await node.ask('POST', '/apis/a/plugins', { name: 'key-auth' })
    expect((await node.call('/a')).status).to.equal(401)
    const keys = ['ALL_APIS_BY_DIC', `plugins:key-auth:${plugin.body.api_id}`]
    for (const key of keys) expect(await shown(node, key), key).to.equal(true)
    return { node, keys }
  }

  it('register with an address, and are counted until they leave [contract 74, 123]', async () => {
    const first = await start({ cluster: { advertise: '10.1.2.3:7946' } })
    const second = await start()
    expect(await counted(first)).to.equal(2)
    const [row] = await database.query('select * from nodes order by life limit 1')
    expect(row).to.include({ cluster_listening_address: '10.1.2.3:7946', status: 'alive' })
    expect(row.name).to.match(/_10\.1\.2\.3:7946_[0-9a-f]{32}$/)
    second.signal('SIGTERM')
    expect(await second.ended()).to.equal(0)
    expect((await rows()).map(({ status }) => status)).to.deep.equal(['alive', 'left'])
    expect(await counted(first)).to.equal(1)
  })

  it('prove their caches anew when one joins [contract 79]', async () => {
    const { node, keys } = await warm()
    const second = await start()
    for (const key of keys) await until(async () => !(await shown(node, key)))
    for (const key of keys) expect(await shown(second, key), key).to.equal(false)
    // What was purged is read again, and right.
    for (const each of nodes) expect((await each.call('/a')).status).to.equal(401)
    for (const key of keys) expect(await shown(node, key), key).to.equal(true)
  })

  it('keep them when only the one that joins is to do so', async () => {
    const { node, keys } = await warm({ cluster: { purge_on_join: 'self' } })
    const second = await start()
    await second.ask('POST', '/apis', { name: 'b', request_path: '/b', upstream_url: upstream.url })
    // Applied in order: once the first node knows of this, it knows of the join.
    await until(async () => (await node.call('/b')).status === 200)
    expect(await shown(node, keys[1] as string)).to.equal(true)
  })

  it('see each other’s changes without being told by more than the datastore', async () => {
    const [one, two] = [await start(), await start()]
    await one.ask('POST', '/apis', { name: 'a', request_path: '/a', upstream_url: upstream.url })
    await until(async () => (await two.call('/a')).status === 200)
    await two.ask('POST', '/apis/a/plugins', { name: 'key-auth' })
    await until(async () => (await one.call('/a')).status === 401)
  })

  it('keep their names over a crash, and begin a new life', async () => {
    const node = await start()
    const [before] = await rows()
    node.signal('SIGKILL')
    await node.ended()
    await node.launch()
    const after = await rows()
    expect(after).to.have.length(1)
    expect(after[0].name).to.equal(before.name)
    expect(after[0].life).to.be.greaterThan(before.life)
  })

  it('that were forced out and are there all the same register anew', async () => {
    const node = await start()
    const [before] = await rows()
    await database.query(`update nodes set status = 'left'`)
    await node.logged(/it has registered anew/)
    const [after] = await rows()
    expect(after).to.include({ name: before.name, status: 'alive' })
    expect(after.life).to.be.greaterThan(before.life)
  })

  it('put a row back that was deleted, in its old life', async () => {
    const node = await start()
    const [before] = await rows()
    await database.query('delete from nodes')
    await node.logged(/is put back/)
    expect(await rows()).to.deep.equal([before])
  })

  it('take another name when somebody has theirs', async () => {
    const node = await start()
    const [before] = await rows()
    // As a node on a copy of the working directory registers.
    await database.query(`update nodes set status = 'alive', life = null`)
    await node.logged(/it has registered anew/)
    const after = await rows()
    expect(after).to.have.length(2)
    expect(after.map(({ name }) => name)).to.include(before.name)
  })
})
