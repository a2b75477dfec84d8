// Rows of entities that end: tokens, which nodes cache, and codes, which nobody does.
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { Row } from '../../src/base/json.ts'
import type { Database } from '../../src/database/database.ts'
import { consumer } from '../../src/entities/consumer.ts'
import { entitiesOf } from '../../src/node/plugins.ts'
import { Sweeper } from '../../src/node/sweeper.ts'
import { oauth2Credential } from '../../src/plugins/oauth2/application.ts'
import { oauth2AuthorizationCode } from '../../src/plugins/oauth2/code.ts'
import { oauth2Token } from '../../src/plugins/oauth2/token.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import { PostgresStore } from '../../src/store/postgres-store.ts'
import { openDatabase, parts } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

describe('rows that end', () => {
  let test: TestDatabase
  let database: Database
  let store: PostgresStore
  let credential_id: string
  before(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    store = new PostgresStore(database)
  })
  after(async () => {
    await database.stop()
    await test.drop()
  })
  beforeEach(async () => {
    await test.query('delete from consumers')
    const { row } = await store.insert(consumer, { username: 'bob' }, null)
    const application = { name: 'app', client_id: 'id', client_secret: 's', redirect_uri: ['http://a.com/'] }
    const owned = { ...application, consumer_id: row.id as string }
    credential_id = (await store.insert(oauth2Credential, owned, null)).row.id as string
  })

  const sweep = () =>
    new Sweeper({
      ...{ ...parts, clock: systemClock, database },
      entities: () => entitiesOf(shippedPlugins),
    }).sweep()
  const addToken = (access_token: string, expires_at: number | null) =>
    store.insert(oauth2Token, { credential_id, expires_in: 5, access_token, expires_at }, null)
  const addCode = (code: string, own: Row = {}) =>
    store.insert(
      oauth2AuthorizationCode,
      { credential_id, code, redirect_uri: 'http://a.com/', ...own },
      null,
    )
  const past = '2020-01-01T00:00:00Z'
  const left = async (column: string, table: string) =>
    (await test.query(`select ${column} as name from ${table} order by 1`)).map(({ name }) => name)
  const head = async () => (await test.query('select max(position) as head from events'))[0].head

  it('are removed with an event each where nodes cache them, and stay where they have no end', async () => {
    const now = Date.now()
    await addToken('over', now - 1000)
    await addToken('over too', 1)
    await addToken('not yet', now + 60_000)
    await addToken('endless', null)
    const before = await head()
    await sweep()
    expect(await left('access_token', 'oauth2_tokens')).deep.equal(['endless', 'not yet'])
    const events = await test.query('select body::jsonb as body from events where position > $1', [before])
    const told = events.map(({ body }) => [body.operation, body.old.access_token, body.actor])
    expect(told).have.deep.members([
      ['delete', 'over', 'expiry'],
      ['delete', 'over too', 'expiry'],
    ])
  })

  it('are removed in steps, until none is left that is over', async () => {
    await test.query(
      `insert into oauth2_tokens (credential_id, expires_in, access_token, expires_at)
       select $1, 5, n::text, n from generate_series(1, 250) n`,
      [credential_id],
    )
    const before = await head()
    await sweep()
    expect(await left('access_token', 'oauth2_tokens')).deep.equal([])
    const steps = await test.query('select distinct first from events where position > $1', [before])
    expect(steps).length(3)
  })

  it('are removed without an event where nobody caches them', async () => {
    await addCode('over', { expires_at: past })
    await addCode('fresh')
    const before = await head()
    await sweep()
    expect(await left('code', 'oauth2_authorization_codes')).deep.equal(['fresh'])
    expect(await head()).equal(before)
  })

  it('are not exchanged once they are over, removed or not', async () => {
    await addCode('over', { expires_at: past })
    const exchange = (code: string) =>
      store.exchange(
        oauth2AuthorizationCode,
        { code },
        oauth2Token,
        () => ({ credential_id, expires_in: 5, access_token: code }),
        null,
      )
    expect(await exchange('over')).equal(null)
    await addCode('fresh')
    expect((await exchange('fresh'))?.row).include({ access_token: 'fresh', expires_in: 5 })
    expect(await exchange('fresh')).equal(null)
    const lifetime = `select extract(epoch from expires_at - now())::float8 as s from oauth2_authorization_codes`
    await addCode('another')
    expect(Number((await test.query(`${lifetime} where code = 'another'`))[0].s)).within(290, 300)
  })
})
