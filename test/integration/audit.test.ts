import { expect } from 'chai'
import type { Row } from '../../src/base/json.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { AgentCatalog } from '../../src/catalog/agent-catalog.ts'
import { AgentLink, openLink } from '../../src/catalog/link.ts'
import { WorkerCatalog } from '../../src/catalog/worker-catalog.ts'
import type { Database } from '../../src/database/database.ts'
import { api } from '../../src/entities/api.ts'
import { consumer } from '../../src/entities/consumer.ts'
import { plugin } from '../../src/entities/plugin.ts'
import { Follower } from '../../src/event-log/follower.ts'
import { PostgresEventLog } from '../../src/event-log/postgres-event-log.ts'
import { keyauthCredential } from '../../src/plugins/key-auth/credential.ts'
import { PostgresStore } from '../../src/store/postgres-store.ts'
import { openDatabase, parts } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { KeptRows } from '../support/projection.ts'

const limitMs = 10_000

describe('an audit of a node on Postgres', () => {
  let test: TestDatabase
  let database: Database
  let store: PostgresStore
  let follower: Follower
  let catalog: AgentCatalog
  let worker: WorkerCatalog
  let link: AgentLink

  beforeEach(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    store = new PostgresStore(database)
    catalog = new AgentCatalog({
      entities: [api, consumer, plugin, keyauthCredential],
      projected: api,
      store,
      progress: {
        reach: (position) => follower.reach(position, limitMs),
        observe: (sent, answered) => follower.observe(sent, answered),
        reset: (reason) => follower.reset(reason),
      },
      isAway: () => false,
      clock: parts.clock,
      logger: silentLogger,
      maxBytes: 1_000_000,
    })
    follower = new Follower({ log: new PostgresEventLog(database), subscriber: catalog, ...parts })
    const ends = openLink()
    link = new AgentLink({ end: ends.agent, catalog, logger: silentLogger, onLost: expect.fail })
    worker = new WorkerCatalog({
      end: ends.worker,
      projection: new KeptRows(),
      clock: parts.clock,
      maxBytes: 1_000_000,
    })
    await follower.start()
    await worker.ready
  })

  afterEach(async () => {
    worker.close()
    link.close()
    follower.stop()
    await database.stop()
    await test.drop()
  })

  const idOf = ({ row }: { row: Row }) => row.id as string

  /** An API with a plugin, a consumer with a key; all of it looked up on the worker, and absences too. */
  async function populated() {
    const apiId = idOf(
      await store.insert(api, { name: 'a', request_host: 'a.com', upstream_url: 'http://up' }, null),
    )
    const config = { z: 1.5, a: [true, null], 10: 'ten', nested: { b: 'é', a: 9007199254740991 } }
    const pluginId = idOf(await store.insert(plugin, { api_id: apiId, name: 'p', config }, null))
    const consumerId = idOf(await store.insert(consumer, { username: 'u:%' }, null))
    await store.insert(keyauthCredential, { consumer_id: consumerId, key: 'a:b%' }, null)
    await look(apiId, consumerId)
    return { apiId, pluginId, consumerId }
  }

  async function look(apiId: string, consumerId: string) {
    const view = worker.view()
    await view.many(plugin, plugin.lookups[0], apiId, null)
    await view.many(plugin, plugin.lookups[0], apiId, consumerId)
    await view.one(consumer, consumer.lookups[0], consumerId)
    for (const key of ['a:b%', 'none']) {
      await view.one(keyauthCredential, keyauthCredential.lookups[0], key)
    }
  }

  it('finds rows that were read, and rows that came with events, equal to those of the tables', async () => {
    const { apiId, pluginId, consumerId } = await populated()
    const read = await catalog.audit(limitMs)
    expect(read).to.deep.include({ wrong: [], checked: { entries: 5, workerEntries: 5, rows: 1 } })
    await store.insert(plugin, { api_id: apiId, name: 'q', consumer_id: consumerId }, null)
    await store.insert(plugin, { api_id: apiId, name: 'r' }, null)
    await store.insert(api, { name: 'b', request_path: '/b', upstream_url: 'http://up' }, null)
    const touch = (row: Row): Row => ({ ...row })
    await store.update(plugin, { id: pluginId }, touch, null)
    await store.update(consumer, { id: consumerId }, (row) => ({ ...row, custom_id: 'c' }), null)
    await store.update(keyauthCredential, { key: 'a:b%' }, touch, null)
    await store.insert(keyauthCredential, { consumer_id: consumerId, key: 'none' }, null)
    const changed = await catalog.audit(limitMs)
    expect(changed).to.deep.include({ wrong: [], checked: { entries: 5, workerEntries: 5, rows: 2 } })
    expect(changed).to.include(await new PostgresEventLog(database).head())
    expect(changed.digests).to.have.all.keys('apis', 'consumers', 'keyauth_credentials', 'plugins')
  })

  it('finds what was changed behind the log, and serves the right thing after that', async () => {
    const { apiId, consumerId } = await populated()
    for (const table of ['apis', 'plugins', 'consumers', 'keyauth_credentials'])
      await test.query(`alter table ${table} disable trigger log_change`)
    await test.query(`update apis set upstream_url = 'http://other'`)
    await test.query(`insert into apis (name, request_path, upstream_url) values ('b', '/b', 'http://b')`)
    await test.query(`insert into plugins (api_id, name) values ($1, 'q')`, [apiId])
    await test.query(`update consumers set username = 'v'`)
    await test.query(`update keyauth_credentials set key = 'none'`)
    const report = await catalog.audit(limitMs)
    const counts = { apis: 2, plugins: 1, consumers: 1, keyauth_credentials: 2 }
    expect(report.wrong).to.have.deep.members(
      ['node', 'worker 1'].flatMap((where) =>
        Object.entries(counts).map(([family, count]) => ({ where, family, count })),
      ),
    )
    expect(report.repaired).to.equal(12)
    const view = worker.view()
    expect(await view.many(plugin, plugin.lookups[0], apiId, null)).to.have.length(2)
    expect(await view.one(consumer, consumer.lookups[0], consumerId)).to.include({ username: 'v' })
    expect(await view.one(keyauthCredential, keyauthCredential.lookups[0], 'a:b%')).to.equal(null)
    expect(await view.one(keyauthCredential, keyauthCredential.lookups[0], 'none')).to.include({
      key: 'none',
    })
    expect(catalog.rows(api).map(({ name }) => name)).to.have.members(['a', 'b'])
    expect((await catalog.audit(limitMs)).wrong).to.deep.equal([])
  })

  it('finds nothing wrong among writers and lookups', async () => {
    const { apiId, pluginId, consumerId } = await populated()
    let writing = true
    const write = async () => {
      for (let n = 0; n < 60; n++) {
        await store.update(plugin, { id: pluginId }, (row) => ({ ...row, config: { n } }), null)
        await store.update(api, { id: apiId }, (row) => ({ ...row, upstream_url: `http://up/${n}` }), null)
        if (n % 2 === 0) await store.remove(keyauthCredential, { key: 'a:b%' }, () => {}, null)
        else await store.insert(keyauthCredential, { consumer_id: consumerId, key: 'a:b%' }, null)
      }
      writing = false
    }
    const lookUp = async () => {
      // What is in memory is answered in the same tick: others must have a turn.
      for (; writing; await parts.clock.sleep(1)) await look(apiId, consumerId)
    }
    const audit = async () => {
      let audits = 0
      for (; writing; audits++) expect((await catalog.audit(limitMs)).wrong).to.deep.equal([])
      return audits
    }
    const [, , audits] = await Promise.all([write(), lookUp(), audit()])
    expect(audits).to.be.above(2)
    expect(await catalog.audit(limitMs)).to.deep.include({ wrong: [], unsettled: 0 })
  })
})
