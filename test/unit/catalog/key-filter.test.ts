import { expect } from 'chai'
import { systemClock } from '../../../src/base/clock.ts'
import { codeOf, TroopError } from '../../../src/base/errors.ts'
import type { Row } from '../../../src/base/json.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { filteredLookups } from '../../../src/catalog/key-filter.ts'
import { AgentLink, openLink } from '../../../src/catalog/link.ts'
import { WorkerCatalog } from '../../../src/catalog/worker-catalog.ts'
import { commonFields, defineEntity } from '../../../src/entities/define.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { KeptRows } from '../../support/projection.ts'
import {
  byKey,
  create,
  credential,
  entities,
  makeWorld,
  remove,
  rowOf,
  settle,
  type World,
  type Write,
} from './world.ts'

const cred = (n: number, key: string | null): Row => rowOf(n, { key })

describe('the filter of keys', () => {
  const open: { close(): void }[] = []
  afterEach(() => {
    for (const thing of open.splice(0)) thing.close()
  })

  function connect({ catalog }: World) {
    const ends = openLink()
    const link = new AgentLink({ end: ends.agent, catalog, logger: silentLogger, onLost: expect.fail })
    const worker = new WorkerCatalog({
      end: ends.worker,
      projection: new KeptRows(),
      clock: systemClock,
      maxBytes: 1_000_000,
    })
    open.push(worker, link)
    return { worker, ends, look: (key: string) => worker.view().one(credential, byKey, key) }
  }

  /** Five credentials, `k1` to `k5`, in pages of two. */
  async function loaded(options = {}) {
    const world = makeWorld({ filterKeysMax: 100, ...options })
    world.datastore.commit(...[1, 2, 3, 4, 5].map((n) => create(credential, cred(n, `k${n}`))))
    await world.follower.load('start')
    while (!world.catalog.filter.inUse) await settle()
    const find = async (key: string) => (await world.catalog.find(credential, byKey, [key])).value
    const commit = (...writes: Write[]) => {
      world.datastore.commit(...writes)
      world.follower.apply()
    }
    return { ...world, find, commit, ...connect(world) }
  }

  const mustNotAsk = ({ datastore }: World) => {
    datastore.answers = () => new Error('must not be asked')
  }

  it('has the lookups of single rows by what clients may send, whatever plugin they are of', () => {
    expect(entities.flatMap(filteredLookups).map(({ prefix }) => prefix)).to.deep.equal([
      'keyauth_credentials',
    ])
    const token = defineEntity({
      name: 'tokens',
      fields: { ...commonFields, value: { type: 'string' }, owner: { type: 'string' } },
      lookups: [
        { prefix: 'token', by: ['value'] },
        { prefix: 'token_by_id', by: ['id'] },
        { prefix: 'tokens_of', by: ['owner'], many: true },
      ],
    })
    expect(filteredLookups(token)).to.deep.equal([token.lookups[0]])
    expect(filteredLookups({ ...token, logged: false })).to.deep.equal([])
  })

  it('knows which keys no row has, on the agent and in workers, and nothing is kept of those', async () => {
    const world = await loaded()
    mustNotAsk(world)
    const { catalog, worker, find, look } = world
    for (let n = 0; n < 1000; n++) {
      expect(look(`none ${n}`), 'in the same tick').to.equal(null)
      expect(await find(`none ${n}`)).to.equal(null)
    }
    expect(worker.counters).to.include({ absences: 1000, misses: 1000, entries: 0, fills: 0 })
    expect(catalog.counters).to.include({ absences: 1000, misses: 1000, entries: 0, fills: 0 })
    expect(catalog.filter).to.include({ inUse: true, keys: 5 })
  })

  it('finds what was created from the very next lookup on, and misses what was renamed or deleted', async () => {
    const { find, look, commit } = await loaded()
    for (let n = 6; n < 40; n++) {
      const [made, renamed] = [`made ${n}`, `renamed ${n}`]
      expect(look(made)).to.equal(null)
      commit(create(credential, cred(n, made)))
      expect(await look(made)).to.include({ key: made })
      commit(create(credential, cred(n, renamed)))
      expect([await look(made), await find(made)]).to.deep.equal([null, null])
      expect(await look(renamed)).to.include({ key: renamed })
      commit(remove(credential, cred(n, renamed)))
      expect([await look(renamed), await find(renamed)]).to.deep.equal([null, null])
    }
  })

  it('finds a key that went from one row to another, in whatever order', async () => {
    const { find, look, commit } = await loaded()
    commit(create(credential, cred(1, 'k2')), create(credential, cred(2, 'other')))
    commit(create(credential, cred(3, 'free')), create(credential, cred(4, 'k3')))
    commit(remove(credential, cred(5, 'k5')), create(credential, cred(6, 'k5')))
    for (const [key, n] of Object.entries({ k2: 1, other: 2, free: 3, k3: 4, k5: 6 })) {
      expect(await look(key), key).to.include({ id: cred(n, null).id })
      expect(await find(key), key).to.include({ id: cred(n, null).id })
    }
  })

  it('leaves rows without a value to the datastore', async () => {
    const { catalog, commit } = await loaded()
    commit(create(credential, cred(6, null)), create(credential, cred(7, null)))
    commit(remove(credential, cred(6, null)))
    expect((await catalog.find(credential, byKey, [null])).value).to.include({ id: cred(7, null).id })
    expect(catalog.filter).to.include({ inUse: true, keys: 5 })
  })

  it('is told to a worker that comes later, and follows it to other memory', async () => {
    const world = await loaded({ filterKeysMax: 10_000 })
    for (let n = 0; n < 2000; n += 100) {
      world.commit(
        ...Array.from({ length: 100 }, (_, i) => create(credential, cred(100 + n + i, `many ${n + i}`))),
      )
    }
    const later = connect(world)
    await later.worker.ready
    mustNotAsk(world)
    expect([world.look('none'), later.look('none')]).to.deep.equal([null, null])
    world.datastore.answers = () => undefined
    expect(await world.look('many 1999')).to.include({ key: 'many 1999' })
    expect(await later.look('many 0')).to.include({ key: 'many 0' })
  })

  it('says nothing of a key that goes while a worker looks, as it would be of a later position than the rest', async () => {
    const { look, worker, ends, commit } = await loaded()
    const before = worker.position()
    const { load } = Atomics
    let left = 2
    // Both times that it compares the count: for the view, and for the lookup. After that the agent goes on.
    Atomics.load = ((array: BigInt64Array, index: number) => {
      const value = load(array, index)
      if (array.buffer === ends.agent.counts && --left === 0) commit(remove(credential, cred(1, 'k1')))
      return value
    }) as typeof load
    let found: unknown
    try {
      found = look('k1')
    } finally {
      Atomics.load = load
    }
    expect(left).to.be.at.most(0)
    expect(found).to.be.instanceOf(Promise)
    expect(await found).to.equal(null)
    expect(worker.position()).to.equal(before + 1)
  })

  it('lets a view hold as long as there is no such row, and no longer', async () => {
    const { worker, commit } = await loaded()
    const view = worker.view()
    expect(view.one(credential, byKey, 'later')).to.equal(null)
    commit(create(credential, cred(6, 'another')))
    expect(view.holds()).to.equal(true)
    commit(create(credential, cred(7, 'later')))
    expect(view.holds()).to.equal(false)
  })

  it('is not used from a purge on, until all has been read again', async () => {
    const world = await loaded()
    const { catalog, datastore, find, look } = world
    datastore.answers = undefined
    catalog.purgeAll()
    expect(catalog.filter.inUse).to.equal(false)
    const found = look('none') as Promise<Row | null>
    expect(found, 'asked for').to.be.instanceOf(Promise)
    datastore.answers = () => undefined
    const answerAll = async () => {
      for (const question of datastore.questions.splice(0)) await question.answer()
    }
    while (!catalog.filter.inUse) await answerAll().then(settle)
    expect(await found).to.equal(null)
    mustNotAsk(world)
    expect(look('another')).to.equal(null)
    expect(await find('another')).to.equal(null)
  })

  it('is mended by a purge, if a fault should have left a key out of it', async () => {
    const { catalog, datastore, follower, look } = await loaded()
    datastore.commit(create(credential, cred(6, 'lost')))
    datastore.hide(datastore.head.position)
    follower.apply()
    expect(look('lost')).to.equal(null)
    catalog.purgeAll()
    while (!catalog.filter.inUse) await settle()
    expect(await look('lost')).to.include({ key: 'lost' })
  })

  it('says nothing of another history until all was loaded from it', async () => {
    const world = await loaded()
    const { catalog, datastore, follower, find } = world
    datastore.rewind(0, 'second')
    datastore.commit(create(credential, cred(8, 'k8')))
    datastore.scanFails = new TroopError('datastore-away', 'gone')
    await follower.load('other-history').catch(() => undefined)
    expect(catalog.filter.inUse).to.equal(false)
    expect(await find('none').catch((error) => codeOf(error))).to.equal('unknown')
    datastore.scanFails = undefined
    await follower.load('other-history')
    while (!catalog.filter.inUse) await settle()
    expect(await find('k8')).to.include({ key: 'k8' })
    mustNotAsk(world)
    expect(await find('k1')).to.equal(null)
  })

  it('is tried again when it could not be loaded, and meanwhile nothing is called absent', async () => {
    const clock = new ManualClock()
    const world = makeWorld({ filterKeysMax: 100, clock })
    const { datastore, follower, catalog } = world
    datastore.answers = () => new TroopError('datastore-away', 'gone')
    await follower.load('start')
    await settle()
    const error = await catalog.find(credential, byKey, ['none']).catch((error) => error)
    expect(codeOf(error)).to.equal('unknown')
    datastore.answers = () => undefined
    expect(catalog.filter.inUse).to.equal(false)
    clock.advance(5000)
    while (!catalog.filter.inUse) await settle()
    catalog.stop()
  })

  it('is not used with more keys than it may hold', async () => {
    const world = await loaded({ filterKeysMax: 6 })
    const { catalog, commit, look } = world
    commit(create(credential, cred(6, 'k6')))
    expect(look('none')).to.equal(null)
    commit(create(credential, cred(7, 'k7')))
    expect(catalog.filter).to.include({ inUse: false, keys: 0, bytes: 0 })
    expect(look('none')).to.be.instanceOf(Promise)
    expect(await look('k7')).to.include({ key: 'k7' })
    const small = makeWorld({ filterKeysMax: 3 })
    small.datastore.commit(...[1, 2, 3, 4, 5].map((n) => create(credential, cred(n, `k${n}`))))
    await small.follower.load('start')
    for (let n = 0; n < 10; n++) await settle()
    expect(small.catalog.filter.inUse).to.equal(false)
  })

  it('is in doubt, and loaded again, when an image of a row is of a schema without the column', async () => {
    const clock = new ManualClock()
    const { datastore, catalog, commit, find } = await loaded({ clock })
    const { key: _, ...other } = cred(1, 'k1')
    commit({ entity: credential, id: String(other.id), row: { ...other, secret: 'x' }, schema: 2 })
    expect(catalog.filter.inUse).to.equal(false)
    datastore.commit(create(credential, cred(1, 'k1')))
    clock.advance(5000)
    while (!catalog.filter.inUse) await settle()
    expect(await find('k1')).to.include({ key: 'k1' })
  })
})
