import { expect } from 'chai'
import { codeOf, TroopError } from '../../../src/base/errors.ts'
import type { Row } from '../../../src/base/json.ts'
import { AgentCatalog } from '../../../src/catalog/agent-catalog.ts'
import { commonFields, defineEntity } from '../../../src/entities/define.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import {
  api,
  byApi,
  byId,
  byKey,
  consumer,
  create,
  credential,
  makeWorld,
  plugin,
  type Question,
  remove,
  rowOf,
  settle,
  uuid,
  type Write,
} from './world.ts'

const away = () => new TroopError('datastore-away', 'gone')
const cred = (n: number, key: string): Row => rowOf(n, { key, consumer_id: uuid(100) })
const plug = (n: number, name: string, apiId = uuid(1)): Row =>
  rowOf(n, { name, api_id: apiId, consumer_id: null, config: {}, enabled: true })

async function loaded(options = {}) {
  const world = makeWorld(options)
  await world.follower.load('start')
  const findKey = (key: string) => world.catalog.find(credential, byKey, [key])
  const findPlugins = (id = uuid(1)) => world.catalog.find(plugin, byApi, [id, null])
  const ask = () => {
    world.datastore.answers = undefined
    return world.datastore.questions
  }
  const next = () => world.datastore.questions.shift() as Question
  return { ...world, findKey, findPlugins, ask, next }
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error) => `${codeOf(error)} ${codeOf(error.cause)}`,
  )

describe('agent catalog', () => {
  it('reads once and answers from memory after that, absences too', async () => {
    const { datastore, follower, catalog, findKey } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    expect((await findKey('k')).value).to.include({ key: 'k' })
    expect((await findKey('none')).value).to.equal(null)
    datastore.answers = () => new Error('must not be asked')
    expect((await findKey('k')).value).to.include({ key: 'k' })
    expect(await findKey('none')).to.deep.equal({ value: null, position: 1, standIn: false })
    expect(catalog.counters).to.include({ entries: 2, hits: 2, misses: 2 })
  })

  it('learns by event alone what a cached absence or row became', async () => {
    const { datastore, follower, findKey } = await loaded()
    expect((await findKey('k')).value).to.equal(null)
    datastore.answers = () => new Error('must not be asked')
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    expect((await findKey('k')).value).to.include({ id: uuid(1) })
    datastore.commit(create(credential, { ...cred(1, 'k'), consumer_id: uuid(7) }))
    follower.apply()
    expect((await findKey('k')).value).to.include({ consumer_id: uuid(7) })
  })

  it('drops the old key of a row that was renamed or deleted', async () => {
    const { datastore, follower, findKey } = await loaded()
    datastore.commit(create(credential, cred(1, 'old')))
    follower.apply()
    await findKey('old')
    await findKey('new')
    datastore.commit(create(credential, cred(1, 'new')))
    follower.apply()
    expect((await findKey('old')).value).to.equal(null)
    expect((await findKey('new')).value).to.include({ key: 'new' })
    datastore.commit(remove(credential, cred(1, 'new')))
    follower.apply()
    expect((await findKey('new')).value).to.equal(null)
  })

  it('patches lists as new lists in the order of the store, without a read', async () => {
    const { datastore, follower, findPlugins } = await loaded()
    datastore.commit(create(plugin, plug(2, 'acl')))
    follower.apply()
    const before = (await findPlugins()).value
    await findPlugins(uuid(9))
    datastore.answers = () => new Error('must not be asked')
    datastore.commit(
      create(plugin, plug(1, 'key-auth')),
      create(plugin, plug(3, 'jwt')),
      create(plugin, plug(4, 'cors')),
    )
    datastore.commit(create(plugin, plug(4, 'cors', uuid(9))), remove(plugin, plug(1, 'key-auth')))
    follower.apply()
    const names = async (id?: string) => ((await findPlugins(id)).value as Row[]).map(({ name }) => name)
    expect(await names()).to.deep.equal(['jwt', 'acl'])
    expect(await names(uuid(9))).to.deep.equal(['cors'])
    expect(before as Row[], 'whoever holds the old list sees what it was').to.have.length(1)
  })

  it('has a row of all lists in each of them, and takes it in and out as it comes and goes, without a read', async () => {
    const { datastore, follower, findPlugins } = await loaded()
    const everywhere = (n: number, name: string) => ({ ...plug(n, name), api_id: null })
    datastore.commit(create(plugin, plug(2, 'acl')), create(plugin, everywhere(5, 'cors')))
    follower.apply()
    const names = async (id?: string) => ((await findPlugins(id)).value as Row[]).map(({ name }) => name)
    expect(await names(), 'as it was read').to.have.members(['acl', 'cors'])
    expect(await names(uuid(9))).to.deep.equal(['cors'])
    datastore.answers = () => new Error('must not be asked')
    const step = async (change: Write, here: string[], there: string[]) => {
      datastore.commit(change)
      follower.apply()
      expect(await names()).to.have.members(here)
      expect(await names(uuid(9))).to.have.members(there)
    }
    await step(create(plugin, everywhere(6, 'jwt')), ['acl', 'cors', 'jwt'], ['cors', 'jwt'])
    await step(create(plugin, everywhere(6, 'ssl')), ['acl', 'cors', 'ssl'], ['cors', 'ssl'])
    await step(create(plugin, plug(6, 'ssl')), ['acl', 'cors', 'ssl'], ['cors'])
    await step(create(plugin, everywhere(6, 'ssl')), ['acl', 'cors', 'ssl'], ['cors', 'ssl'])
    await step(remove(plugin, everywhere(6, 'ssl')), ['acl', 'cors'], ['cors'])
    await step(create(plugin, { ...everywhere(5, 'cors'), consumer_id: uuid(7) }), ['acl'], [])
  })

  it('never keeps a list that was read before a row came into all lists', async () => {
    const { datastore, follower, findPlugins, ask, next } = await loaded()
    const questions = ask()
    const found = findPlugins()
    await settle()
    datastore.commit(create(plugin, { ...plug(1, 'key-auth'), api_id: null }))
    follower.apply()
    await next().answer(0)
    expect(questions, 'the answer is not enough').to.have.length(1)
    await next().answer()
    expect((await found).value).to.have.length(1)
  })

  it('never keeps a fill that was sent before an event of its key', async () => {
    const { datastore, follower, findKey, ask, next } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    const questions = ask()
    const found = findKey('k')
    await settle()
    datastore.commit(remove(credential, cred(1, 'k')))
    follower.apply()
    await next().answer(1)
    expect(questions, 'the answer is not enough').to.have.length(1)
    await next().answer()
    expect((await found).value).to.equal(null)
    expect((await findKey('k')).value).to.equal(null)
  })

  it('leaves a newer fill alone when the events that it contains come late', async () => {
    const { datastore, follower, catalog, findKey } = await loaded()
    follower.pulls = false
    datastore.commit(create(credential, cred(1, 'k')))
    datastore.commit(create(credential, { ...cred(1, 'k'), consumer_id: uuid(7) }))
    const found = findKey('k')
    await settle()
    follower.apply(1)
    expect(catalog.read('keyauth_credentials:k')).to.include({ consumer_id: uuid(7) })
    follower.apply()
    expect((await found).value).to.include({ consumer_id: uuid(7) })
    expect(catalog.counters).to.include({ fills: 1 })
  })

  it('hands out what is ahead of the log only once the log is there', async () => {
    const { datastore, follower, findKey } = await loaded()
    follower.pulls = false
    datastore.commit(create(credential, cred(1, 'k')))
    let done = false
    const all = Promise.all([findKey('k'), settle().then(() => findKey('k'))]).then((found) => {
      done = true
      return found
    })
    await settle()
    await settle()
    expect(done).to.equal(false)
    expect(follower.observed.at(-1)?.[1].position).to.equal(1)
    follower.apply()
    for (const { value, position } of await all) {
      expect(value).to.include({ key: 'k' })
      expect(position).to.equal(1)
    }
  })

  it('asks the primary when a replica lags, is ahead, or is of another history', async () => {
    const { datastore, follower, findKey, ask, next } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    const questions = ask()
    for (const position of [0, 2]) {
      const found = findKey(`k${position}`)
      await settle()
      if (position === 2) datastore.commit(create(credential, cred(2, 'k2')))
      expect(questions[0]?.source).to.equal('replica')
      await next().answer(position)
      expect(questions[0]?.source).to.equal('primary')
      await next().answer()
      await found
    }
  })

  it('resets when the primary answers a head below what was applied before it was asked', async () => {
    const { datastore, follower, catalog, findKey } = await loaded()
    for (let n = 1; n <= 5; n++) datastore.commit(create(credential, cred(n, `k${n}`)))
    follower.apply()
    await findKey('k4')
    datastore.rewind(2, 'second')
    expect((await findKey('k5')).value).to.equal(null)
    expect(follower.resets).to.have.length(1)
    expect(catalog.applied).to.deep.equal(datastore.head)
    expect((await findKey('k4')).value).to.equal(null)
  })

  it('resets when the primary has another digest at the position that is applied', async () => {
    const { datastore, follower, catalog, findKey } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    datastore.rewind(0, 'second')
    datastore.commit(create(credential, cred(2, 'other')))
    expect((await findKey('other')).value).to.include({ id: uuid(2) })
    expect(follower.resets).to.have.length(1)
    expect(catalog.applied).to.deep.equal(datastore.head)
  })

  it('lets nobody have an answer that was on its way while everything was loaded anew', async () => {
    const { datastore, follower, findKey, ask, next } = await loaded()
    for (let n = 1; n <= 3; n++) datastore.commit(create(credential, cred(n, `k${n}`)))
    follower.apply()
    ask()
    const found = findKey('k3')
    await settle()
    const before = next()
    datastore.rewind(1, 'second')
    await follower.load('other-history')
    await settle()
    await before.answer(1)
    await next().answer()
    expect(await found).to.include({ value: null, position: 1 })
  })

  it('forgets an answer that waited for the log when the log turns out to be another', async () => {
    const { datastore, follower, findKey } = await loaded()
    follower.pulls = false
    datastore.commit(create(credential, cred(1, 'k')))
    const found = findKey('k')
    await settle()
    datastore.rewind(0, 'second')
    for (let n = 2; n < 5; n++) datastore.commit(create(credential, cred(n, `k${n}`)))
    await follower.load('other-history')
    expect((await found).value).to.equal(null)
  })

  it('does not wait for what another history has not: who waited is answered from that one at once', async () => {
    const { datastore, follower, findKey } = await loaded({ clock: new ManualClock() })
    follower.pulls = false
    datastore.commit(create(credential, cred(1, 'k')))
    const found = findKey('k')
    while (follower.observed.length === 0) await settle()
    await settle()
    datastore.rewind(0, 'second')
    await follower.load('other-history')
    expect((await found).value).to.equal(null)
  })

  it('says unknown, with the reason, while everything must be loaded and cannot be', async () => {
    const { datastore, follower, catalog, findKey } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    await findKey('k')
    datastore.scanFails = away()
    await follower.load('reset').catch(() => undefined)
    expect(await failure(findKey('k'))).to.equal('unknown datastore-away')
    datastore.scanFails = undefined
    await follower.load('reset')
    expect((await findKey('k')).value).to.include({ key: 'k' })
    expect(catalog.applied.position).to.equal(1)
  })

  it('serves a purged entry when the datastore is away, and else says unknown, keeping neither', async () => {
    const { datastore, follower, catalog, findKey } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')), create(credential, cred(2, 'gone')))
    follower.apply()
    await findKey('k')
    await findKey('gone')
    datastore.commit(remove(credential, cred(2, 'gone')))
    catalog.purgeAll()
    follower.apply()
    expect(catalog.read('keyauth_credentials:k')).to.equal(undefined)
    datastore.answers = away
    expect(await findKey('k')).to.deep.include({ value: cred(1, 'k'), standIn: true })
    expect(await failure(findKey('gone'))).to.equal('unknown datastore-away')
    expect(await failure(findKey('never asked'))).to.equal('unknown datastore-away')
    datastore.answers = () => new TroopError('datastore-error', 'full')
    expect(await failure(findKey('k'))).to.equal('unknown datastore-error')
    datastore.answers = () => undefined
    expect((await findKey('k')).standIn).to.equal(false)
    expect((await findKey('never asked')).value).to.equal(null)
  })

  it('never names a secret in what it throws', async () => {
    const { datastore, findKey } = await loaded()
    datastore.answers = away
    const error = await findKey('s3cret').catch((e) => e)
    expect(error.message).to.equal("can't tell what the datastore holds for keyauth_credentials")
  })

  it('gives up a lookup that takes too long', async () => {
    const { findKey, ask } = await loaded({ lookupMs: 20 })
    ask()
    expect(await failure(findKey('k'))).to.equal('unknown lookup-timeout')
  })

  it('knows without asking what no text in the datastore can equal', async () => {
    const { findKey, findPlugins, ask } = await loaded()
    const questions = ask()
    expect((await findKey('a\0b')).value).to.equal(null)
    expect((await findPlugins('\udc00')).value).to.deep.equal([])
    expect(questions).to.have.length(0)
  })

  it('drops rows of a newer schema, and all of the family when the key cannot be told', async () => {
    const { datastore, follower, catalog, findKey } = await loaded()
    datastore.commit(create(credential, cred(1, 'a')), create(credential, cred(2, 'b')))
    follower.apply()
    await findKey('a')
    await findKey('b')
    datastore.commit({ entity: credential, id: uuid(1), row: { ...cred(1, 'a'), extra: 1 }, schema: 2 })
    follower.apply()
    expect(catalog.read('keyauth_credentials:a')).to.equal(undefined)
    expect(catalog.read('keyauth_credentials:b')).to.include({ key: 'b' })
    datastore.commit({
      entity: credential,
      id: uuid(3),
      row: { id: uuid(3), created_at: 1, secret: 'x' },
      schema: 3,
    })
    follower.apply()
    expect(catalog.read('keyauth_credentials:b')).to.equal(undefined)
  })

  it('keeps the projected rows in step, each the same object until it changes', async () => {
    const { datastore, follower, catalog } = await loaded()
    const apiRow = (n: number, name: string) => rowOf(n, { name })
    datastore.commit(create(api, apiRow(1, 'a')), create(api, apiRow(2, 'b')))
    follower.apply()
    const [, second] = catalog.rows(api)
    datastore.commit(create(api, apiRow(1, 'c')))
    follower.apply()
    expect(catalog.rows(api).map(({ name }) => name)).to.deep.equal(['c', 'b'])
    expect(catalog.rows(api)[1]).to.equal(second)
    datastore.commit(remove(api, apiRow(1, 'c')))
    follower.apply()
    expect(catalog.rows(api)).to.have.length(1)
  })

  it('shows and drops entries by their key, and plugins by the spelling of 0.8', async () => {
    const { datastore, follower, catalog, findPlugins } = await loaded()
    datastore.commit(create(plugin, plug(1, 'key-auth')), create(consumer, rowOf(5, { username: 'bob' })))
    follower.apply()
    expect(catalog.read(`plugins:key-auth:${uuid(1)}`)).to.equal(undefined)
    await findPlugins()
    await catalog.find(consumer, byId, [uuid(5)])
    await catalog.find(consumer, byId, [uuid(6)])
    expect(catalog.read(`plugins:key-auth:${uuid(1)}`)).to.include({ name: 'key-auth' })
    expect(catalog.read(`plugins:acl:${uuid(1)}`)).to.deep.equal({ null: true })
    expect(catalog.read(`plugins:${uuid(1)}`)).to.have.length(1)
    expect(catalog.read(`consumers:${uuid(5)}`)).to.include({ username: 'bob' })
    expect(catalog.read(`consumers:${uuid(6)}`), 'absences are not shown').to.equal(undefined)
    catalog.dropKey(`plugins:acl:${uuid(1)}`)
    expect(catalog.read(`plugins:key-auth:${uuid(1)}`)).to.equal(undefined)
  })

  it('refuses two lookups that would share their keys', () => {
    const twin = defineEntity({
      name: 'twins',
      fields: commonFields,
      lookups: [{ prefix: 'consumers', by: ['id'] }],
    })
    const make = () => new AgentCatalog({ entities: [consumer, twin], projected: api, maxBytes: 1 } as never)
    expect(make).to.throw('the cache key prefix consumers is used by consumers and by twins')
  })

  it('refuses a prefix that would not end where its values begin', () => {
    const odd = defineEntity({
      name: 'odd',
      fields: commonFields,
      lookups: [{ prefix: 'odd:ones', by: ['id'] }],
    })
    const make = () => new AgentCatalog({ entities: [odd], projected: api, maxBytes: 1 } as never)
    expect(make).to.throw('the cache key prefix odd:ones has a colon')
  })
})
