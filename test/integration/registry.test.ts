// The nodes table: lives, heartbeats and what of them is an event.
import { expect } from 'chai'
import { isJoin, nodeChanges } from '../../src/cluster/membership/joins.ts'
import { PostgresRegistry } from '../../src/cluster/membership/postgres-registry.ts'
import type { NodeIdentity } from '../../src/cluster/membership/registry.ts'
import type { Database } from '../../src/database/database.ts'
import type { Page } from '../../src/event-log/event-log.ts'
import { PostgresEventLog } from '../../src/event-log/postgres-event-log.ts'
import { openDatabase } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

const node: NodeIdentity = {
  name: 'a',
  address: '10.0.0.1:7946',
  version: '0.1.0',
  ttlSeconds: 60,
  refusesAfterMs: null,
}

describe('the registry of nodes', () => {
  let test: TestDatabase
  let database: Database
  let registry: PostgresRegistry

  beforeEach(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    registry = new PostgresRegistry(database)
  })

  afterEach(async () => {
    await database.stop()
    await test.drop()
  })

  const stampAt = async (position: number) =>
    (
      await test.query(
        `select position::int, encode(digest, 'hex') as digest from events where position = $1`,
        [position],
      )
    )[0]
  const head = async () => (await test.query('select max(position)::int as position from events'))[0].position
  /** Registers, in place of whoever has the name. */
  const register = async (identity: NodeIdentity): Promise<number> => {
    const row = await registry.find(identity.name)
    const life = await registry.register(identity, row?.life)
    if (life === undefined) throw new Error('somebody was faster')
    return life
  }
  const grow = (name: string, by: string) =>
    test.query(`update nodes set last_seen = last_seen - $2::interval where name = $1`, [name, by])

  it('gives a registration the position of its event as life, and a new one a later life', async () => {
    const life = await register(node)
    expect(life).to.equal(await head())
    const [row] = await registry.rows()
    expect(row).to.deep.include({ name: 'a', address: node.address, status: 'alive', life, applied: null })
    expect(row?.expired).to.equal(false)
    const again = await register(node)
    expect(again).to.equal(life + 1)
    expect((await registry.rows()).map((each) => each.life)).to.deep.equal([again])
  })

  it('registers only in place of the life that it was told of', async () => {
    const life = await register(node)
    expect(await registry.register(node, undefined)).to.equal(undefined)
    expect(await registry.register(node, life - 1)).to.equal(undefined)
    expect((await registry.find('a'))?.life).to.equal(life)
    expect(await registry.register(node, life)).to.equal(life + 1)
    expect(await registry.find('nobody')).to.equal(undefined)
  })

  it('has one winner when several take over a name at once', async () => {
    const life = await register(node)
    const lives = await Promise.all(Array.from({ length: 8 }, () => registry.register(node, life)))
    expect(lives.filter((one) => one !== undefined)).to.deep.equal([life + 1])
  })

  it('tells the return of a node as a join, in the life that it has', async () => {
    const life = await register(node)
    // However many notice it.
    await Promise.all([1, 2, 3].map(() => registry.rejoin('a', life, 30_000)))
    const changes = nodeChanges(await new PostgresEventLog(database).read(await stampAt(life)).then(eventsOf))
    expect(changes.map(isJoin)).to.deep.equal([true])
    expect((await registry.find('a'))?.life).to.equal(life)
    await registry.forceLeave('a')
    const position = await head()
    await registry.rejoin('a', life, 0)
    expect(await head()).to.equal(position)
  })

  it('counts a node that was forced out for as long as it may serve, and others not', async () => {
    const counted = async () => {
      const { nodes } = await database.transaction(async () => undefined, { actor: null })
      return nodes.map(({ name }) => name).sort()
    }
    await register(node)
    await register({ ...node, name: 'b', refusesAfterMs: 60_000 })
    expect(await counted()).to.deep.equal(['a', 'b'])
    await registry.forceLeave('a')
    await registry.forceLeave('b')
    expect(await counted()).to.deep.equal(['b'])
    const { nodes } = await database.transaction(async () => undefined, { actor: null })
    expect(nodes[0]?.lapsesMs).to.be.within(50_000, 60_000)
    await test.query(`update nodes set forced_at = forced_at - interval '61 seconds'`)
    expect(await counted()).to.deep.equal([])
    // One that left by itself serves nothing.
    const life = await register({ ...node, name: 'b', refusesAfterMs: 60_000 })
    await registry.leave('b', life, 'left')
    expect(await counted()).to.deep.equal([])
  })

  it('tells joins from other changes by the image that has no life yet', async () => {
    const life = await register(node)
    await registry.leave('a', life, 'leaving')
    await register(node)
    const bodies = await test.query('select body from events where position >= $1 order by position', [life])
    const images = bodies.map(({ body }) => JSON.parse(body).new)
    expect(images.map((image) => [image.life, image.status])).to.deep.equal([
      [null, 'alive'],
      [life, 'leaving'],
      [null, 'alive'],
    ])
  })

  it('writes heartbeats that are no events, and reads the head with them', async () => {
    const life = await register(node)
    await grow('a', '30 seconds')
    const { head: seen, holding } = await registry.beat('a', life, 7)
    expect(holding).to.equal('held')
    expect(seen.position)
      .to.equal(life)
      .and.to.equal(await head())
    const [row] = await registry.rows()
    expect(row?.applied).to.equal(7)
    expect(row?.silentMs).to.be.lessThan(30_000)
  })

  it('does not let a heartbeat touch the row of another life, and says whose it is', async () => {
    const old = await register(node)
    const life = await register(node)
    expect((await registry.beat('a', old, 7)).holding).to.equal('taken')
    expect((await registry.rows())[0]?.applied).to.equal(null)
    await registry.forceLeave('a')
    expect((await registry.beat('a', life, 7)).holding).to.equal('forced-out')
    await test.query('delete from nodes')
    expect((await registry.beat('a', life, 7)).holding).to.equal('gone')
  })

  it('puts a row that is gone back in its old life, unless somebody has the name', async () => {
    const life = await register(node)
    await test.query('delete from nodes')
    expect(await registry.restore(node, life)).to.equal(true)
    expect((await registry.rows())[0]?.life).to.equal(life)
    expect((await registry.beat('a', life, 1)).holding).to.equal('held')
    await register(node)
    expect(await registry.restore(node, life)).to.equal(false)
  })

  it('records a leave by the life that it ends, and none of a life that is over', async () => {
    const old = await register(node)
    const life = await register(node)
    await registry.leave('a', old, 'left')
    expect((await registry.rows())[0]?.status).to.equal('alive')
    await registry.leave('a', life, 'leaving')
    await registry.leave('a', life, 'left')
    expect((await registry.rows())[0]?.status).to.equal('left')
  })

  it('forces a node out once, and says of a name that it does not know', async () => {
    await register(node)
    expect(await registry.forceLeave('a')).to.equal(true)
    const position = await head()
    expect(await registry.forceLeave('a')).to.equal(true)
    expect(await head()).to.equal(position)
    expect(await registry.forceLeave('nobody')).to.equal(false)
  })

  it('removes rows that are expired by the clock of the database, and no others', async () => {
    const life = await register(node)
    await register({ ...node, name: 'b' })
    await grow('a', '61 seconds')
    expect((await registry.rows()).map(({ name, expired }) => [name, expired])).to.deep.equal([
      ['b', false],
      ['a', true],
    ])
    // Its heartbeat came first.
    await registry.beat('a', life, 1)
    await registry.removeExpired(['a', 'b'])
    expect(await registry.rows()).to.have.length(2)
    await grow('a', '61 seconds')
    await registry.removeExpired(['a', 'b'])
    expect((await registry.rows()).map(({ name }) => name)).to.deep.equal(['b'])
  })

  it('keeps lives apart when many nodes register at once', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `n${i}`)
    const lives = await Promise.all(names.map((name) => register({ ...node, name })))
    expect(new Set(lives).size).to.equal(20)
    const rows = await registry.rows()
    for (const [i, name] of names.entries()) {
      expect(rows.find((row) => row.name === name)?.life).to.equal(lives[i])
    }
  })
})

function eventsOf(page: Page) {
  return page.kind === 'events' ? page.events : []
}
