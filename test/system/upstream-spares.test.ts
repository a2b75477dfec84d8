// That workers open connections ahead as the settings say, from the start and after a reload.
import { expect } from 'chai'
import { Upstream } from '../../src/testing/upstream.ts'
import { until } from '../support/log.ts'
import { NodeProcess } from '../support/node-process.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { ask } from '../support/raw-http.ts'

describe('connections that a node opens ahead', () => {
  let database: TestDatabase
  let upstream: Upstream
  let node: NodeProcess

  beforeEach(async () => {
    database = await testDatabase()
    upstream = await new Upstream().start()
    node = await NodeProcess.start(database, { workers: 1, proxy: { upstream_spares: 2 } })
    await node.ask('POST', '/apis', { name: 'x', request_path: '/', upstream_url: upstream.url })
  })

  afterEach(async () => {
    await node.remove()
    await upstream.stop()
    await database.drop()
  })

  async function askTwice(): Promise<void> {
    const port = Number(new URL(node.proxy).port)
    for (let i = 0; i < 2; i++) expect((await ask(port, '/')).status).equal(200)
  }

  it('are as many as the settings say, also after a reload', async () => {
    await askTwice()
    await until(() => upstream.connections === 1 + 2)
    await node.configure({ workers: 1, proxy: { upstream_spares: 4 } })
    node.signal('SIGHUP')
    await node.logged(/"msg":"reloaded"/)
    // A reload begins with new connections.
    await askTwice()
    await until(() => upstream.connections === 1 + 2 + 1 + 4)
  })
})
