import { expect } from 'chai'
import type { Row } from '../../src/base/json.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { AgentCatalog } from '../../src/catalog/agent-catalog.ts'
import type { Database } from '../../src/database/database.ts'
import { api } from '../../src/entities/api.ts'
import { consumer } from '../../src/entities/consumer.ts'
import { Follower } from '../../src/event-log/follower.ts'
import { PostgresEventLog } from '../../src/event-log/postgres-event-log.ts'
import { keyauthCredential } from '../../src/plugins/key-auth/credential.ts'
import { PostgresStore } from '../../src/store/postgres-store.ts'
import type { StampedReader } from '../../src/store/store.ts'
import { openDatabase, parts, until } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

const byKey = keyauthCredential.lookups[0]

/** What Postgres could hold under another spelling, and text that is spelled in some way of its own. */
const oddKeys = ['Case', 'a:b%', 'é', 'e\u0301', '🙂', ' blank ', '', "'", '\\', 'ﬀ', 'x'.repeat(2000)]

describe('the filter of keys on Postgres', () => {
  let test: TestDatabase
  let database: Database
  let store: PostgresStore
  let follower: Follower
  let catalog: AgentCatalog
  let finds: number
  let consumerId: string

  beforeEach(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    store = new PostgresStore(database)
    finds = 0
    const counted: StampedReader = {
      find: (...query) => {
        finds++
        return store.find(...query)
      },
      findMany: (...query) => store.findMany(...query),
      scan: (entity, take) => store.scan(entity, take),
      page: (...query) => store.page(...query),
    }
    catalog = new AgentCatalog({
      entities: [api, consumer, keyauthCredential],
      projected: api,
      store: counted,
      progress: {
        reach: (position) => follower.reach(position, 10_000),
        observe: (sent, answered) => follower.observe(sent, answered),
        reset: (reason) => follower.reset(reason),
      },
      isAway: () => false,
      filter: { keysMax: 1_000_000, pageRows: 100, random: parts.random },
      clock: parts.clock,
      logger: silentLogger,
      maxBytes: 1_000_000,
    })
    follower = new Follower({ log: new PostgresEventLog(database), subscriber: catalog, ...parts })
    consumerId = String((await store.insert(consumer, { username: 'bob' }, null)).row.id)
  })

  afterEach(async () => {
    catalog.stop()
    follower.stop()
    await database.stop()
    await test.drop()
  })

  const insertMany = (prefix: string, count: number) =>
    test.query(
      `insert into keyauth_credentials (consumer_id, key) select $1, $2 || i from generate_series(1, ${count}) i`,
      [consumerId, prefix],
    )
  const find = async (key: string) =>
    (await catalog.find(keyauthCredential, byKey, [key])).value as Row | null
  const inUse = () => until(() => catalog.filter.inUse)
  const caughtUp = async () => {
    const { position } = await new PostgresEventLog(database).head()
    await follower.reach(position, 10_000)
  }

  it('lets a flood of made-up keys cause no read, and each key that a row has be found', async () => {
    await insertMany('before ', 1050)
    for (const key of oddKeys) await store.insert(keyauthCredential, { consumer_id: consumerId, key }, null)
    await follower.start()
    await inUse()
    expect(catalog.filter.keys).to.equal(1050 + oddKeys.length)
    const made = [...oddKeys.map((key) => `${key}x`), 'case', 'CASE', ' Case', 'E\u0301', 'ff', 'blank']
    for (let n = 0; n < 5000; n++) made.push(parts.random.hex(16))
    for (const key of made) expect(await find(key), key).to.equal(null)
    expect(finds).to.equal(0)
    for (const key of [...oddKeys, 'before 1', 'before 1050']) expect(await find(key)).to.include({ key })
    expect(finds).to.equal(oddKeys.length + 2)
  })

  it('is exact although rows change while its pages are read', async () => {
    await insertMany('before ', 1000)
    let writing = true
    const writes = async () => {
      for (let n = 0; writing; n++) {
        await insertMany(`among ${n} `, 3)
        await test.query(
          `update keyauth_credentials set key = 'renamed ' || key where key like '%0' and random() < 0.01`,
        )
        await test.query(`delete from keyauth_credentials where random() < 0.001`)
        await test.query(`update keyauth_credentials set id = gen_random_uuid() where random() < 0.001`)
      }
    }
    const done = writes()
    await follower.start()
    for (let n = 0; n < 3; n++) {
      await inUse()
      catalog.purgeAll()
    }
    await inUse()
    writing = false
    await done
    await caughtUp()
    const rows = await test.query('select key from keyauth_credentials')
    expect(catalog.filter).to.include({ inUse: true, keys: rows.length })
    for (const { key } of rows) expect(await find(String(key)), String(key)).to.include({ key })
    expect(finds).to.equal(rows.length)
    expect(await find('before')).to.equal(null)
    expect(finds).to.equal(rows.length)
  })

  it('learns of what goes by a cascade, and of a restore', async () => {
    await insertMany('k ', 250)
    await follower.start()
    await inUse()
    await test.query('delete from consumers')
    await caughtUp()
    expect(catalog.filter.keys).to.equal(0)
    expect(await find('k 7')).to.equal(null)
    expect(finds).to.equal(0)
    // As pg_restore does: no trigger fires, and the last step tells every node to forget all.
    consumerId = String((await store.insert(consumer, { username: 'eve' }, null)).row.id)
    await test.query('alter table keyauth_credentials disable trigger user')
    await insertMany('restored ', 5)
    await test.query(`select append_event('log', 'reset', null, null, 1)`)
    await caughtUp()
    await inUse()
    expect(await find('restored 5')).to.include({ key: 'restored 5' })
    expect(catalog.filter.keys).to.equal(5)
  })
})
