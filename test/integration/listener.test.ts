import { expect } from 'chai'
import { until } from '../support/log.ts'
import { atHead, type LogNode, startNode } from '../support/log-node.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const insert = (test: TestDatabase, ...names: string[]) =>
  test.query('insert into consumers (username) select unnest($1::text[])', [names])

describe('the listener', () => {
  let test: TestDatabase
  let node: LogNode
  let proxy: TcpProxy

  beforeEach(async () => {
    test = await testDatabase()
    proxy = await TcpProxy.to(test.host, test.port)
    node = await startNode(test, { listening: true, heartbeatIntervalMs: 3_600_000, port: proxy.port })
  })

  afterEach(async () => {
    await node.stop()
    await proxy.stop()
    await test.drop()
  })

  async function backends(): Promise<number[]> {
    const rows = await test.query(
      `select pid from pg_stat_activity where datname = current_database() and application_name = 'troop listener'`,
    )
    return rows.map(({ pid }) => pid)
  }

  it('misses nothing when its backend is killed, and is one backend again', async () => {
    for (let i = 0; i < 3; i++) {
      const [pid] = await backends()
      await test.query('select pg_terminate_backend($1)', [pid])
      await insert(test, `while-away-${i}`)
      await atHead(node, test)
      await until(async () => (await backends()).some((now) => now !== pid))
      await insert(test, `back-${i}`)
      await atHead(node, test)
    }
    expect(await backends()).to.have.length(1)
    expect(node.subscriber.transactions).to.have.length(6)
    expect(node.subscriber.loads).to.deep.equal(['start'])
  })

  it('is not disturbed by what others notify', async () => {
    await test.query(`select pg_notify('troop_public', 'not json {'), pg_notify('troop_public', '-1')`)
    await insert(test, 'after')
    await atHead(node, test)
    expect(await backends()).to.have.length(1)
  })

  it('leaves no backend behind', async () => {
    expect(await backends()).to.have.length(1)
    await node.stop()
    await until(async () => (await backends()).length === 0)
  })
  it('finds out that its connection is silent, and misses nothing of what was notified meanwhile', async () => {
    proxy.blackHole()
    await insert(test, 'into-the-void')
    await atHead(node, test)
  })

  it('stops although its connection is silent', async () => {
    await until(() => node.pull.reachability().reachable)
    proxy.blackHole()
    await node.stop()
  })
})
