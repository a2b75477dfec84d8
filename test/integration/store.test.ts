import { expect } from 'chai'
import { codeOf } from '../../src/base/errors.ts'
import type { Row } from '../../src/base/json.ts'
import type { Database } from '../../src/database/database.ts'
import { api } from '../../src/entities/api.ts'
import { consumer } from '../../src/entities/consumer.ts'
import type { Lookup } from '../../src/entities/define.ts'
import { plugin } from '../../src/entities/plugin.ts'
import { PostgresEventLog } from '../../src/event-log/postgres-event-log.ts'
import { PostgresStore } from '../../src/store/postgres-store.ts'
import { readAll, type Written } from '../../src/store/store.ts'
import { openDatabase } from '../support/log.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

describe('the store', () => {
  let test: TestDatabase
  let database: Database
  let store: PostgresStore

  before(async () => {
    test = await testDatabase()
    database = openDatabase(test)
    store = new PostgresStore(database)
  })

  afterEach(async () => {
    await test.query('delete from apis')
    await test.query('delete from consumers')
  })

  after(async () => {
    await database.stop()
    await test.drop()
  })

  const unknownId = '00000000-0000-4000-8000-000000000000'
  const byId = consumer.lookups[0] as Lookup
  const byApi = plugin.lookups[0] as Lookup

  const addApi = (fields: Row = {}) =>
    store.insert(api, { name: 'a', request_path: '/a', upstream_url: 'http://up', ...fields }, null)
  const addConsumer = (fields: Row) => store.insert(consumer, fields, null)

  async function failure(
    promise: Promise<unknown>,
  ): Promise<Error & { attribute?: string; value?: unknown }> {
    return promise.then(
      () => expect.fail('it did not fail'),
      (error) => error,
    )
  }

  it('fills in the table’s defaults, and reads back exactly what it answered', async () => {
    const { row, operation } = await addApi()
    expect(operation).to.equal('create')
    expect(row).to.include({ name: 'a', request_host: null, strip_request_path: false, preserve_host: false })
    expect(row.id).to.match(/^[0-9a-f-]{36}$/)
    expect(Number(row.created_at) % 1000).to.equal(0)
    expect(await store.read(api, { id: row.id as string })).to.deep.equal(row)
  })

  it('keeps lists, tables, numbers and texts of a configuration as they were', async () => {
    const { row: owner } = await addApi()
    const config = {
      list: ['a', 'b,"c"', ''],
      empty: [],
      nested: { deep: [{ n: 1.5 }, null, true] },
      text: '{"not":"parsed"} \\ \u00e9 \u2028 𝄞',
      big: 9007199254740991,
    }
    const { row } = await store.insert(plugin, { api_id: owner.id as string, name: 'p', config }, null)
    expect(row.config).to.deep.equal(config)
    const found = await store.find(plugin, byApi, [owner.id as string, null], 'primary')
    expect(found.value).to.deep.equal([row])
  })

  it('answers a write with the position of its event, under any number of writers', async () => {
    const written = await Promise.all(
      Array.from({ length: 40 }, (_, i) => store.insert(consumer, { username: `w${i}` }, `actor-${i}`)),
    )
    for (const [i, { row, stamp }] of written.entries()) {
      const [event] = await test.query(
        `select encode(digest, 'hex') as digest, body::jsonb as body from events where position = $1`,
        [stamp.position],
      )
      expect(event.digest).to.equal(stamp.digest)
      expect(event.body).to.deep.include({ operation: 'create', new: row, actor: `actor-${i}` })
    }
  })

  it('removes nothing that the caller does not agree to, and shows it the row that is locked', async () => {
    const { row } = await addApi()
    const seen: unknown[] = []
    const refuse = (current: Row) => {
      seen.push(current)
      throw new Error('not this one')
    }
    await store.remove(api, { name: 'a' }, refuse, null).then(
      () => expect.fail('expected a refusal'),
      (error) => expect(error.message).to.equal('not this one'),
    )
    expect(seen).to.deep.equal([row])
    expect(await store.count(api)).to.equal(1)
  })

  it('answers the removal of an API with the newest event of the cascade', async () => {
    const { row } = await addApi()
    for (const name of ['p', 'q']) await store.insert(plugin, { api_id: row.id as string, name }, null)
    const removed = await store.remove(api, { name: 'a' }, always, null)
    expect(removed).to.deep.include({ row, operation: 'delete' })
    expect(removed?.stamp).to.deep.equal(await new PostgresEventLog(database).head())
    expect(await store.count(plugin)).to.equal(0)
    expect(await store.remove(api, { name: 'a' }, always, null)).to.equal(null)
  })

  describe('an update', () => {
    it('replaces all columns but id and created_at; those left out take their defaults', async () => {
      const { row } = await addApi({ request_host: 'a.com', preserve_host: true })
      const updated = await store.update(
        api,
        { id: row.id as string },
        () => ({ id: unknownId, created_at: 1, request_path: '/b', upstream_url: 'http://b', name: null }),
        null,
      )
      expect(updated?.row).to.deep.equal({
        ...{ id: row.id, created_at: row.created_at, name: null, request_host: null, request_path: '/b' },
        ...{ strip_request_path: false, upstream_url: 'http://b', preserve_host: false },
      })
      expect(updated?.operation).to.equal('update')
    })

    it('writes also what changes nothing, and so has an event', async () => {
      const created = await addApi()
      const updated = await store.update(api, { name: 'a' }, (current) => current, null)
      expect(updated?.row).to.deep.equal(created.row)
      expect(updated?.stamp.position).to.equal(created.stamp.position + 1)
    })

    it('is null when no row matches, and undone when revise throws', async () => {
      expect(await store.update(api, { name: 'nobody' }, (current) => current, null)).to.equal(null)
      await addApi()
      const refuse = () => {
        throw new Error('not like this')
      }
      expect((await failure(store.update(api, { name: 'a' }, refuse, null))).message).to.equal(
        'not like this',
      )
    })

    it('is done on what the one before it wrote: none is lost', async () => {
      await addApi({ upstream_url: 'http://up/' })
      const append = (current: Row) => ({ ...current, upstream_url: `${current.upstream_url}x` })
      await Promise.all(Array.from({ length: 20 }, () => store.update(api, { name: 'a' }, append, null)))
      expect((await store.read(api, { name: 'a' }))?.upstream_url).to.equal(`http://up/${'x'.repeat(20)}`)
    })
  })

  describe('constraints', () => {
    it('name the attribute and the value that is taken', async () => {
      await addApi({ request_host: 'Taken.com' })
      const { row: other } = await addApi({ name: 'b', request_path: '/b' })
      for (const [attribute, value] of [
        ['name', 'a'],
        ['request_path', '/a'],
        ['request_host', 'taken.COM'],
        ['id', other.id],
      ] as const) {
        const fields = { name: 'n', request_path: '/n', [attribute]: value as string }
        const error = await failure(addApi(fields))
        expect(codeOf(error)).to.equal('already-exists')
        expect(error).to.deep.include({ attribute, value, message: `already exists with value '${value}'` })
      }
      const change = store.update(api, { name: 'b' }, (current) => ({ ...current, name: 'a' }), null)
      expect(await failure(change)).to.deep.include({ attribute: 'name', value: 'a' })
      await addConsumer({ username: 'bob', custom_id: '1' })
      expect(await failure(addConsumer({ username: 'al', custom_id: '1' }))).to.include({
        attribute: 'custom_id',
      })
    })

    it('name the attribute that points at nothing', async () => {
      const { row } = await addApi()
      const add = (fields: Row) => store.insert(plugin, { name: 'p', ...fields }, null)
      const noApi = await failure(add({ api_id: unknownId }))
      expect(codeOf(noApi)).to.equal('does-not-exist')
      expect(noApi).to.include({ attribute: 'api_id', value: unknownId })
      expect(noApi.message).to.equal(`does not exist with value '${unknownId}'`)
      const noConsumer = await failure(add({ api_id: row.id as string, consumer_id: unknownId }))
      expect(noConsumer).to.include({ attribute: 'consumer_id' })
    })

    it('refuse the same plugin for the same API and consumer, also without consumer and at the same time', async () => {
      const { row } = await addApi()
      const add = () => store.insert(plugin, { api_id: row.id as string, name: 'p' }, null)
      const results = await Promise.allSettled([add(), add(), add()])
      const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
      expect(errors).to.have.length(2)
      for (const error of errors) {
        expect(codeOf(error)).to.equal('already-exists')
        expect(error).to.include({ attribute: undefined, message: 'Plugin configuration already exists' })
      }
    })

    it('that have no attribute, and values that are none, are refused by what Postgres says', async () => {
      const neither = await failure(addApi({ request_path: null }))
      expect(neither).to.include({ code: 'datastore-error', sqlState: '23514' })
      const malformed = await failure(store.read(api, { id: 'nonsense' }))
      expect(malformed).to.include({ code: 'datastore-error', sqlState: '22P02' })
      expect(malformed.message).to.match(
        /^the datastore refused: invalid input syntax for type uuid: "nonsense"/,
      )
    })
  })

  describe('lists', () => {
    it('come in pages by creation and id, with the number of all that match', async () => {
      for (let i = 0; i < 7; i++) await addConsumer({ username: `u${i}`, custom_id: i % 2 ? null : `c${i}` })
      const pages = []
      for (const page of [1, 2, 3, 4]) pages.push(await store.list(consumer, {}, { size: 3, page }))
      expect(pages.map(({ rows, total }) => [rows.length, total])).to.deep.equal([
        [3, 7],
        [3, 7],
        [1, 7],
        [0, 7],
      ])
      const ids = pages.flatMap(({ rows }) => rows.map(({ id }) => id))
      expect(new Set(ids).size).to.equal(7)
      const unset = await store.list(consumer, { custom_id: null }, { size: 10, page: 1 })
      expect(unset.rows.map(({ username }) => username)).to.have.members(['u1', 'u3', 'u5'])
      expect(unset.total).to.equal(3)
      expect(await store.list(consumer, {}, { size: 100, page: 1e15 })).to.deep.equal({ rows: [], total: 7 })
    })

    it('are filtered by any value without error, be it quoted or a zero byte', async () => {
      await addConsumer({ username: `o'neil "x" \\ %` })
      const filter = (username: string) => store.list(consumer, { username }, { size: 10, page: 1 })
      expect((await filter(`o'neil "x" \\ %`)).total).to.equal(1)
      expect((await filter(`' or true --`)).total).to.equal(0)
      expect((await filter('a\0b')).total).to.equal(0)
      const created = await store.read(consumer, { username: `o'neil "x" \\ %` })
      const byTime = { created_at: created?.created_at as number }
      expect((await store.list(consumer, byTime, { size: 10, page: 1 })).total).to.equal(1)
    })

    it('count rows and distinct values', async () => {
      const { row } = await addApi()
      const { row: someone } = await addConsumer({ username: 'someone' })
      for (const name of ['b', 'a', 'B']) await store.insert(plugin, { api_id: row.id as string, name }, null)
      await store.insert(
        plugin,
        { api_id: row.id as string, name: 'a', consumer_id: someone.id as string },
        null,
      )
      expect(await store.count(plugin)).to.equal(4)
      expect(await store.distinct(plugin, 'name')).to.deep.equal(['B', 'a', 'b'])
    })
  })

  describe('stamped reads', () => {
    it('have a stamp also where there is no row', async () => {
      const { stamp } = await addConsumer({ username: 'a' })
      const nobody = await store.find(consumer, byId, [unknownId], 'primary')
      expect(nobody).to.deep.equal({ value: [], stamp })
      expect(await readAll(store, api)).to.deep.equal({ value: [], stamp })
    })

    it('of a whole table are of one snapshot, however many pages they come in', async () => {
      await test.query(`insert into apis (name, request_path, upstream_url)
        select 'api ' || n, '/' || n, 'http://up' from generate_series(1, 1000) n`)
      const { row, stamp } = await addApi()
      const pages: (readonly Row[])[] = []
      const changes: Promise<unknown>[] = []
      const read = await store.scan(api, (rows) => {
        pages.push(rows)
        const upstream_url = `http://changed/${pages.length}`
        changes.push(store.update(api, { id: row.id as string }, (old) => ({ ...old, upstream_url }), null))
        changes.push(addApi({ name: `new ${pages.length}`, request_path: `/new/${pages.length}` }))
      })
      await Promise.all(changes)
      expect(read).to.deep.equal({ value: 1001, stamp })
      expect(pages.map(({ length }) => length)).to.deep.equal([200, 200, 200, 200, 200, 1])
      const rows = pages.flat()
      expect(new Set(rows.map(({ id }) => id)).size).to.equal(1001)
      expect(rows.find(({ id }) => id === row.id)).to.deep.equal(row)
      expect((await readAll(store, api)).value).to.have.length(1007)
    })

    it('of a whole table fail as a whole, and leave no connection in use', async () => {
      await test.query(`insert into apis (name, request_path, upstream_url)
        select 'api ' || n, '/' || n, 'http://up' from generate_series(1, 300) n`)
      const broken = store.scan(api, () => {
        throw new Error('no room')
      })
      expect((await failure(broken)).message).to.equal('no room')
      expect(database.pools().primary?.inUse).to.equal(0)
      expect((await readAll(store, api)).value).to.have.length(300)
    })

    it('ask for unset columns by null', async () => {
      const { row } = await addApi()
      const { row: someone } = await addConsumer({ username: 'someone' })
      const add = (consumer_id: string | null) =>
        store.insert(plugin, { api_id: row.id as string, name: 'p', consumer_id }, null)
      const general = await add(null)
      const special = await add(someone.id as string)
      const find = (id: string | null) => store.find(plugin, byApi, [row.id as string, id], 'replica')
      expect((await find(null)).value).to.deep.equal([general.row])
      expect((await find(someone.id as string)).value).to.deep.equal([special.row])
    })

    it('say exactly how new their rows are, while others write', async () => {
      const { row, stamp: created } = await addApi({ upstream_url: 'http://up/0' })
      const written = new Map<number, string>([[created.position, 'http://up/0']])
      let writing = true
      const writer = (async () => {
        for (let i = 1; i <= 150; i++) {
          const upstream_url = `http://up/${i}`
          const change = (current: Row) => ({ ...current, upstream_url })
          const { stamp } = (await store.update(api, { name: 'a' }, change, null)) as {
            stamp: { position: number }
          }
          written.set(stamp.position, upstream_url)
        }
        writing = false
      })()
      const read: [number, string][] = []
      const readers = Array.from({ length: 4 }, async () => {
        while (writing) {
          const { value, stamp } = await readAll(store, api)
          expect(value).to.have.length(1)
          read.push([stamp.position, value[0]?.upstream_url as string])
        }
      })
      await Promise.all([writer, ...readers])
      expect(read.length).to.be.above(10)
      for (const [position, url] of read) expect(url, `at ${position}`).to.equal(written.get(position))
      await store.remove(api, { id: row.id as string }, always, null)
    })

    it('of many keys find what is under each of them and nothing else, at one stamp', async () => {
      const [a, b, c] = await Promise.all(
        ['a', 'b', 'c'].map((name) => addApi({ name, request_path: `/${name}` })),
      )
      const [u, v] = await Promise.all(['u', 'v'].map((username) => addConsumer({ username })))
      const ids = [a, b, c, u, v].map((written) => (written as Written).row.id as string)
      const [idA, idB, idC, idU, idV] = ids as [string, string, string, string, string]
      const owners: [string, string | null][] = [idA, idB, idC].flatMap((id) => [
        [id, null],
        [id, idU],
        [id, idV],
      ])
      for (const [api_id, consumer_id] of owners)
        for (const name of ['p', 'q']) await store.insert(plugin, { api_id, consumer_id, name }, null)
      const keys = [
        [idA, null],
        [idB, idU],
        [idC, idV],
        [unknownId, null],
      ]
      const { value, stamp } = await store.findMany(plugin, byApi, keys)
      const found = await Promise.all(keys.map((key) => store.find(plugin, byApi, key, 'primary')))
      expect(value)
        .to.have.length(6)
        .and.have.deep.members(found.flatMap(({ value: rows }) => rows))
      expect(stamp).to.deep.equal(await new PostgresEventLog(database).head())
    })

    it('of many keys are stamped when there is no row, and when no row can be', async () => {
      await addConsumer({ username: 'u' })
      const nothing = { value: [], stamp: await new PostgresEventLog(database).head() }
      expect(await store.findMany(consumer, byId, [[unknownId]])).to.deep.equal(nothing)
      expect(await store.findMany(consumer, byId, [])).to.deep.equal(nothing)
      const byName = { prefix: 'names', by: ['username'] }
      expect(await store.findMany(consumer, byName, [['u\0'], ['v']])).to.deep.equal(nothing)
    })

    it('of many keys are as new as their stamp says, while the keys change', async () => {
      const { row, stamp } = (await addApi({ name: 'n0' })) as Written
      const names = Array.from({ length: 40 }, (_, i) => `n${i}`)
      const byName = { prefix: 'names', by: ['name'] }
      const written = new Map([[stamp.position, 'n0']])
      let writing = true
      const write = async () => {
        for (const name of names.slice(1)) {
          const renamed = await store.update(api, { id: row.id as string }, (now) => ({ ...now, name }), null)
          written.set((renamed as Written).stamp.position, name)
        }
        writing = false
      }
      const read: [number, unknown][] = []
      const look = async () => {
        while (writing) {
          const { value, stamp } = await store.findMany(
            api,
            byName,
            names.map((name) => [name]),
          )
          expect(value).to.have.length(1)
          read.push([stamp.position, value[0]?.name])
        }
      }
      await Promise.all([write(), look(), look()])
      expect(read.length).to.be.above(5)
      for (const [position, name] of read) expect(name, `at ${position}`).to.equal(written.get(position))
    })

    it('go to the primary when the replica is away, and fail when both are', async () => {
      const proxy = await TcpProxy.to(test.host, test.port)
      const { user, password, database: name } = test
      const readUrl = `postgres://${user}:${password}@127.0.0.1:${proxy.port}/${name}`
      const both = openDatabase(test, { readUrl, connectTimeoutMs: 1000 })
      let asked = 0
      proxy.onRequest = () => asked++
      const find = () => new PostgresStore(both).find(consumer, byId, [unknownId], 'replica')
      const { stamp } = await find()
      expect(asked).to.be.above(0)
      await proxy.stop()
      expect(await find()).to.deep.equal({ value: [], stamp })
      await both.stop()
      const neither = openDatabase(test, { port: proxy.port, connectTimeoutMs: 1000 })
      const error = await failure(new PostgresStore(neither).find(consumer, byId, [unknownId], 'primary'))
      expect(codeOf(error)).to.equal('datastore-away')
      await neither.stop()
    })
  })
})

function always(): void {}
