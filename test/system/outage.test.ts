// The datastore goes away and comes back: cached traffic does not notice, nothing unknown is called absent.
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, type TestServer, testServer } from '../support/postgres.ts'
import { Traffic } from '../support/traffic.ts'

/** Long enough for every connection to be found dead and for each kind of retry to be at its longest wait. */
const outageMs = 20_000

describe('an outage of the datastore', function () {
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
    for (const name of ['open', 'guarded', 'unseen']) {
      await node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: upstream.url })
    }
    await node.ask('POST', '/apis/guarded/plugins', { name: 'key-auth' })
    await node.ask('POST', '/consumers', { username: 'bob' })
    for (const key of ['warm', 'cold']) await node.ask('POST', '/consumers/bob/key-auth', { key })
    // Both workers see each route once.
    for (const path of ['/open', '/guarded?apikey=warm']) {
      for (let i = 0; i < 20; i++) await node.call(path, { headers: { connection: 'close' } })
    }
  })

  after(async () => {
    await node?.remove()
    await upstream?.stop()
    await server?.remove()
  })

  it('costs cached routes not one error, makes the rest 503, and is made up for by itself', async () => {
    const pid = node.pid
    const traffic = new Traffic(node, ['/open', '/guarded?apikey=warm', '/guarded'])
    await server.stop()
    const cutAt = systemClock.monotonic()

    expect((await node.call('/guarded?apikey=cold')).status).to.equal(503)
    expect((await node.call('/unseen')).status).to.equal(503)
    expect((await node.call('/guarded?apikey=cold')).text).to.match(/datastore/)
    const write = await node.ask('POST', '/consumers', { username: 'eve' })
    expect(write.status).to.equal(503)
    expect((await node.ask('GET', '/apis')).status).to.equal(503)

    await systemClock.sleep(outageMs - (systemClock.monotonic() - cutAt))
    await server.start()
    await database.query(
      `insert into apis (name, request_path, upstream_url) values ('later', '/later', $1)`,
      [upstream.url],
    )
    await until(async () => (await node.call('/later')).status === 200)
    await until(async () => (await node.call('/guarded?apikey=cold')).status === 200)
    expect((await node.call('/unseen')).status).to.equal(200)
    expect((await node.ask('POST', '/consumers', { username: 'eve' })).status).to.equal(201)

    const seen = await traffic.stop()
    expect(seen.get('/open')).to.have.all.keys('200')
    expect(seen.get('/guarded?apikey=warm')).to.have.all.keys('200')
    expect(seen.get('/guarded')).to.have.all.keys('401')
    expect(node.pid).to.equal(pid)
  })
})
