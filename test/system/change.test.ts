// One node, real parts: what is changed is served from the next request on, whoever changed it.
import { expect } from 'chai'
import { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('a change', () => {
  let database: TestDatabase
  let upstream: Upstream
  let node: NodeProcess

  before(async () => {
    database = await testDatabase()
    upstream = await new Upstream().start()
    node = await NodeProcess.start(database, { workers: 2 })
  })

  after(async () => {
    await node?.remove()
    await upstream?.stop()
    await database?.drop()
  })

  const addApi = (name: string) =>
    node.ask('POST', '/apis', { name, request_path: `/${name}`, upstream_url: upstream.url })

  it('is served by every worker from the next request on', async () => {
    for (let i = 0; i < 50; i++) {
      const name = `api-${i}`
      expect((await addApi(name)).status).to.equal(201)
      // A connection of its own for each call, so that both workers take part.
      const calls = await Promise.all(
        Array.from({ length: 4 }, () => node.call(`/${name}`, { headers: { connection: 'close' } })),
      )
      expect(calls.map(({ status }) => status)).to.deep.equal([200, 200, 200, 200])
      await node.ask('DELETE', `/apis/${name}`)
      expect((await node.call(`/${name}`)).status).to.equal(404)
    }
  })

  it('asks for a key from the next request on, and stops asking', async () => {
    await addApi('guarded')
    expect((await node.call('/guarded')).status).to.equal(200)
    const plugin = await node.ask('POST', '/apis/guarded/plugins', { name: 'key-auth' })
    expect(plugin.headers.get('x-troop-position')).to.match(/^\d+$/)
    expect((await node.call('/guarded')).status).to.equal(401)
    await node.ask('POST', '/consumers', { username: 'bob' })
    expect((await node.call('/guarded?apikey=sesame')).status).to.equal(403)
    const key = await node.ask('POST', '/consumers/bob/key-auth', { key: 'sesame' })
    expect((await node.call('/guarded?apikey=sesame')).status).to.equal(200)
    await node.ask('PATCH', `/consumers/bob/key-auth/${key.body.id}`, { key: 'new' })
    expect((await node.call('/guarded?apikey=sesame')).status).to.equal(403)
    expect((await node.call('/guarded?apikey=new')).status).to.equal(200)
    await node.ask('DELETE', '/consumers/bob')
    expect((await node.call('/guarded?apikey=new')).status).to.equal(403)
    await node.ask('DELETE', `/apis/guarded/plugins/${plugin.body.id}`)
    expect((await node.call('/guarded')).status).to.equal(200)
  })

  it('that was made with SQL alone is served', async () => {
    await database.query('insert into apis (name, request_path, upstream_url) values ($1, $2, $3)', [
      'by-sql',
      '/by-sql',
      upstream.url,
    ])
    await until(async () => (await node.call('/by-sql')).status === 200)
    await database.query(`delete from apis where name = 'by-sql'`)
    await until(async () => (await node.call('/by-sql')).status === 404)
  })

  it('of 10,000 rows in one transaction is served whole', async () => {
    await database.query(
      `insert into apis (name, request_path, upstream_url)
       select 'bulk-' || i, '/bulk-' || i, $1 from generate_series(1, 10000) i`,
      [upstream.url],
    )
    await until(async () => (await node.call('/bulk-1')).status === 200)
    expect((await node.call('/bulk-10000')).status).to.equal(200)
    await database.query(`delete from apis where name like 'bulk-%'`)
    await until(async () => (await node.call('/bulk-10000')).status === 404)
    expect((await node.call('/bulk-1')).status).to.equal(404)
  })

  it('under a connection that the server cut is not missed', async () => {
    await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name like 'troop%' and datname = current_database()`,
    )
    await database.query(`insert into apis (name, request_path, upstream_url) values ('cut', '/cut', $1)`, [
      upstream.url,
    ])
    await until(async () => (await node.call('/cut')).status === 200)
  })
})
