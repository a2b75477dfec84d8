// What the datastore itself does to a cluster: a replica that lags, a restart in the middle, a log that loses its tail.
import { expect } from 'chai'
import { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, type TestServer, testServer } from '../support/postgres.ts'
import { copyData, startStandby } from '../support/standby.ts'
import { Traffic } from '../support/traffic.ts'

describe('a cluster and its datastore', function () {
  this.timeout(120_000)
  let server: TestServer
  let database: TestDatabase
  let upstream: Upstream
  let nodes: NodeProcess[]

  beforeEach(async () => {
    server = await testServer()
    database = await server.database()
    upstream = await new Upstream().start()
    nodes = []
  })
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.remove()))
    await upstream.stop()
    await server.remove()
  })

  const start = async (postgres: object = {}) => {
    const { host, port, user, password, database: name } = database
    const address = { host, port, user, password, database: name }
    const node = await NodeProcess.start(database, {
      postgres: { ...address, connect_timeout: '1s', query_timeout: '2s', ...postgres },
    })
    nodes.push(node)
    return node
  }
  const addApi = (node: NodeProcess, name: string) =>
    node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: upstream.url })
  const statusOf = async (node: NodeProcess, path: string) => (await node.call(path)).status
  let changes = 0
  /** Makes changes until one of them is complete on both nodes. */
  const joined = (node: NodeProcess) =>
    until(async () => (await addApi(node, `joined-${++changes}`)).headers.get('x-troop-applied') === '2/2')

  it('never serves what a replica that is half a second behind still says', async () => {
    const port = await startStandby(server, 500)
    const { user, password, database: name } = database
    const read_url = `postgres://${user}:${password}@127.0.0.1:${port}/${name}`
    const [one, two] = [await start({ read_url }), await start({ read_url })]
    await addApi(one, 'guarded')
    await one.ask('POST', '/apis/guarded/plugins', { name: 'key-auth' })
    await one.ask('POST', '/consumers', { username: 'bob' })
    for (let i = 0; i < 60; i++) {
      const [writer, reader] = i % 2 ? [one, two] : [two, one]
      const written = await writer.ask('POST', '/consumers/bob/key-auth', { key: `key-${i}` })
      expect(written.headers.get('x-troop-applied')).to.equal('2/2')
      expect(await statusOf(reader, `/guarded?apikey=key-${i}`), `created ${i}`).to.equal(200)
      // So that the answer must come from the datastore again.
      await reader.ask('DELETE', `/cache/keyauth_credentials:key-${i}`)
      await writer.ask('DELETE', `/consumers/bob/key-auth/${written.body.id}`)
      expect(await statusOf(reader, `/guarded?apikey=key-${i}`), `deleted ${i}`).to.equal(403)
    }
  })

  it('goes on through a restart: traffic is served, writes are refused and then complete again', async () => {
    const [one, two] = [await start(), await start()]
    await joined(one)
    await addApi(one, 'b')
    for (const node of nodes) expect(await statusOf(node, '/b')).to.equal(200)
    const served = nodes.map((node) => new Traffic(node, ['/b']))
    const pids = nodes.map(({ pid }) => pid)
    await server.stop()
    expect((await addApi(two, 'meanwhile')).status).to.equal(503)
    await server.start()
    await until(async () => (await addApi(two, 'after')).status === 201)
    await until(async () => (await statusOf(one, '/after')) === 200)
    for (const traffic of served) expect((await traffic.stop()).get('/b')).to.have.all.keys('200')
    expect(nodes.map(({ pid }) => pid)).to.deep.equal(pids)
    await joined(one)
    await joined(two)
  })

  it('finds out when its datastore has lost its newest changes, and agrees with it again', async () => {
    const one = await start()
    await addApi(one, 'kept')
    const putBack = await copyData(server)
    // Registers after the copy was made: of that the datastore will know nothing either.
    const two = await start()
    await joined(one)
    for (const name of ['x', 'y', 'z']) await addApi(two, name)
    for (const node of nodes) expect(await statusOf(node, '/x')).to.equal(200)
    await putBack()
    for (const node of nodes) {
      await until(async () => (await statusOf(node, '/x')) === 404)
      // It may have to be read anew, from a datastore that the node has only just found again.
      await until(async () => (await statusOf(node, '/kept')) === 200)
    }
    // Other changes at the positions of those that were lost.
    await joined(two)
    await addApi(one, 'w')
    for (const node of nodes) {
      await until(async () => (await statusOf(node, '/w')) === 200)
      expect(await statusOf(node, '/x')).to.equal(404)
    }
    const rows = await database.query(`select life::int, status from nodes`)
    const [{ head }] = await database.query('select max(position)::int as head from events')
    for (const { life, status } of rows) {
      expect(status).to.equal('alive')
      expect(life).to.be.at.most(head)
    }
    // Nobody went on registering: that would be an event, and a purge, each second.
    const registrations = await database.query(
      `select from events where body::jsonb ->> 'entity' = 'nodes' and position > 0`,
    )
    expect(registrations.length).to.be.at.most(8)
  })
})
