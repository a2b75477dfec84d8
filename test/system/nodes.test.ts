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
  /** Is there all the time; others join it, and leave when the test is over. */
  let node: NodeProcess

  before(async () => {
    group = await NodeGroup.make()
    ;({ database, upstream } = group)
    node = await group.start()
  })
  after(() => group?.remove())
  afterEach(async () => {
    for (const joined of group.nodes.splice(1)) {
      joined.signal('SIGTERM')
      await joined.ended()
      await joined.remove()
    }
  })

  const join = (settings: JsonObject = {}) => group.start(settings)
  /** Of all that have not left. */
  const rows = () =>
    database.query(
      `select name, status, life::int from nodes where status <> 'left' order by created_at, life`,
    )
  const counted = async () => (await node.ask('GET', '/status')).body.database.nodes
  const shown = async (node: NodeProcess, key: string) =>
    (await node.ask('GET', `/cache/${key}`)).status === 200

  /** Has a node cache the table of APIs and one API's plugins; resolves with their keys. */
  const warm = async (node: NodeProcess, name: string) => {
    await node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: upstream.url })
    const plugin = await node.ask('POST', `/apis/${name}/plugins`, { name: 'key-auth' })
    expect((await node.call(`/${name}`)).status).to.equal(401)
    const keys = ['ALL_APIS_BY_DIC', `plugins:key-auth:${plugin.body.api_id}`]
    for (const key of keys) expect(await shown(node, key), key).to.equal(true)
    return keys
  }

  it('register with an address, and are counted until they leave [contract 74, 123]', async () => {
    const second = await join({ cluster: { advertise: '10.1.2.3:7946' } })
    expect(await counted()).to.equal(2)
    const [row] = await database.query('select * from nodes order by life desc limit 1')
    expect(row).to.include({ cluster_listening_address: '10.1.2.3:7946', status: 'alive' })
    expect(row.name).to.match(/_10\.1\.2\.3:7946_[0-9a-f]{32}$/)
    second.signal('SIGTERM')
    expect(await second.ended()).to.equal(0)
    const [left] = await database.query('select status from nodes where name = $1', [row.name])
    expect([left.status, ...(await rows()).map(({ status }) => status)]).to.deep.equal(['left', 'alive'])
    expect(await counted()).to.equal(1)
  })

  it('prove their caches anew when one joins [contract 79]', async () => {
    const keys = await warm(node, 'proven')
    const second = await join()
    for (const key of keys) await until(async () => !(await shown(node, key)))
    for (const key of keys) expect(await shown(second, key), key).to.equal(false)
    // What was purged is read again, and right.
    for (const each of [node, second]) expect((await each.call('/proven')).status).to.equal(401)
    for (const key of keys) expect(await shown(node, key), key).to.equal(true)
  })

  it('keep them when only the one that joins is to do so', async () => {
    const keeper = await join({ cluster: { purge_on_join: 'self' } })
    const [, key = ''] = await warm(keeper, 'kept')
    const last = await join()
    await last.ask('POST', '/apis', { name: 'last', request_path: '/last', upstream_url: upstream.url })
    // Applied in order: once the keeper knows of this, it knows of the join.
    await until(async () => (await keeper.call('/last')).status === 200)
    expect(await shown(keeper, key)).to.equal(true)
  })

  it('see each other’s changes without being told by more than the datastore', async () => {
    const other = await join()
    await node.ask('POST', '/apis', { name: 'seen', request_path: '/seen', upstream_url: upstream.url })
    await until(async () => (await other.call('/seen')).status === 200)
    await other.ask('POST', '/apis/seen/plugins', { name: 'key-auth' })
    await until(async () => (await node.call('/seen')).status === 401)
  })

  it('keep their names over a crash, and begin a new life', async () => {
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
    const { length } = node.output
    const [before] = await rows()
    await database.query(`update nodes set status = 'left'`)
    await node.logged(/it has registered anew/, length)
    const [after] = await rows()
    expect(after).to.include({ name: before.name, status: 'alive' })
    expect(after.life).to.be.greaterThan(before.life)
  })

  it('put a row back that was deleted, in its old life', async () => {
    const { length } = node.output
    const [before] = await rows()
    await database.query('delete from nodes')
    await node.logged(/is put back/, length)
    expect(await rows()).to.deep.equal([before])
  })

  it('take another name when somebody has theirs', async () => {
    const { length } = node.output
    const [{ name }] = await rows()
    // As a node on a copy of the working directory registers.
    await database.query(`update nodes set status = 'alive', life = null where name = $1`, [name])
    await node.logged(/it has registered anew/, length)
    const after = await rows()
    expect(after).to.have.length(2)
    expect(after.map(({ name }) => name)).to.include(name)
    await database.query('delete from nodes where name = $1', [name])
  })
})
