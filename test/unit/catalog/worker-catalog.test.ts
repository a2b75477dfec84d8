import { expect } from 'chai'
import { type Clock, systemClock } from '../../../src/base/clock.ts'
import { codeOf, TroopError } from '../../../src/base/errors.ts'
import type { Row } from '../../../src/base/json.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { AgentLink, openLink } from '../../../src/catalog/link.ts'
import { WorkerCatalog } from '../../../src/catalog/worker-catalog.ts'
import { KeptRows } from '../../support/projection.ts'
import {
  api,
  byApi,
  byKey,
  create,
  credential,
  makeWorld,
  plugin,
  type Question,
  remove,
  rowOf,
  settle,
  uuid,
  type World,
} from './world.ts'

const away = () => new TroopError('datastore-away', 'gone')
const cred = (n: number, key: string): Row => rowOf(n, { key, consumer_id: uuid(100) })
const apiRow = (n: number): Row => rowOf(n, { name: `api ${n}` })
const plug = (n: number, name: string, apiId = uuid(1)): Row =>
  rowOf(n, { name, api_id: apiId, consumer_id: null })

function connect(world: World, clock: Clock = systemClock) {
  const ends = openLink()
  const lost: string[] = []
  const link = new AgentLink({
    end: ends.agent,
    catalog: world.catalog,
    logger: silentLogger,
    onLost: (reason) => lost.push(reason),
  })
  const router = new KeptRows()
  const worker = new WorkerCatalog({ end: ends.worker, projection: router, clock, maxBytes: 1_000_000 })
  const findKey = (key: string) => worker.view().one(credential, byKey, key)
  const findPlugins = (id = uuid(1)) => worker.view().many(plugin, byApi, id, null)
  return { link, router, worker, lost, ends, findKey, findPlugins }
}

const failure = (call: () => unknown) =>
  Promise.resolve()
    .then(call)
    .then(
      () => 'no error',
      (error) => `${codeOf(error)} ${codeOf(error.cause)}`,
    )

describe('worker catalog', () => {
  const open: { close(): void }[] = []
  afterEach(() => {
    for (const thing of open.splice(0)) thing.close()
  })

  async function loaded() {
    const world = makeWorld()
    world.datastore.commit(create(api, apiRow(1)), create(plugin, plug(1, 'key-auth')))
    await world.follower.load('start')
    const connected = connect(world)
    open.push(connected.link, connected.worker)
    await connected.worker.ready
    const next = async (): Promise<Question> => {
      while (world.datastore.questions.length === 0) await settle()
      return world.datastore.questions.shift() as Question
    }
    const ask = () => {
      world.datastore.answers = undefined
    }
    return { ...world, ...connected, next, ask }
  }

  it('is ready once it is seeded, and knows nothing before', async () => {
    const world = makeWorld()
    const { link, worker, router } = connect(world)
    open.push(link, worker)
    expect(() => worker.view()).to.throw("can't tell")
    world.datastore.commit(create(api, apiRow(1)))
    await world.follower.load('start')
    await worker.ready
    expect(worker.position()).to.equal(1)
    expect(router.byId.size).to.equal(1)
  })

  it('answers in the same tick from memory, and with the same list until it changes', async () => {
    const { datastore, follower, findPlugins } = await loaded()
    const first = await findPlugins()
    expect(findPlugins()).to.equal(first)
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    expect(findPlugins()).to.equal(first)
    datastore.commit(create(plugin, plug(2, 'acl')))
    follower.apply()
    expect(findPlugins()).to.have.length(2)
  })

  it('serves what the agent applied in the very next lookup, without waiting for its messages', async () => {
    const { datastore, follower, worker, router, findKey } = await loaded()
    expect(await findKey('k')).to.equal(null)
    for (let n = 0; n < 50; n++) {
      const position = datastore.commit(
        create(credential, { ...cred(1, 'k'), n }),
        create(api, apiRow(2 + n)),
      )
      follower.apply()
      expect(findKey('k')).to.include({ n })
      expect(worker.position()).to.equal(position)
      expect(router.byId.has(uuid(2 + n))).to.equal(true)
    }
  })

  it('tells the projection of an old row by the object that it was given', async () => {
    const { datastore, follower, worker, router } = await loaded()
    const given = router.byId.get(uuid(1))
    datastore.commit(create(api, { ...apiRow(1), name: 'new' }))
    follower.apply()
    worker.position()
    expect(router.told[0]?.[0]).to.equal(given)
    datastore.commit(remove(api, apiRow(1)))
    follower.apply()
    worker.position()
    expect(router.told[1]).to.deep.equal([router.told[0]?.[1], null])
  })

  it('never keeps a fill that was overtaken by an event, neither here nor on the agent', async () => {
    const { datastore, follower, catalog, worker, findKey, ask, next } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    ask()
    const found = findKey('k')
    const question = await next()
    datastore.commit(remove(credential, cred(1, 'k')))
    follower.apply()
    worker.position()
    await question.answer(3)
    await (await next()).answer()
    expect(await found).to.equal(null)
    expect(findKey('k')).to.equal(null)
    expect(catalog.counters.refusedByFloor + worker.counters.refusedByFloor).to.be.above(0)
  })

  it('refuses an answer of the agent that an event has overtaken on the way', async () => {
    const { datastore, follower, worker, findKey } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    // The agent takes the value out in one tick, and hands it over in a later one.
    const found = findKey('k')
    const { find } = Object.getPrototypeOf(follower.catalog)
    follower.catalog.find = async function (...args) {
      const taken = await find.apply(this, args)
      if (datastore.head.position === 3) {
        datastore.commit(remove(credential, cred(1, 'k')))
        follower.apply()
      }
      return taken
    }
    expect(await found).to.equal(null)
    expect(worker.counters.refusedByFloor).to.equal(1)
  })

  it('goes to a lower position when everything was loaded anew, and serves nothing from above it', async () => {
    const { datastore, follower, worker, router, findKey, findPlugins } = await loaded()
    for (let n = 2; n < 9; n++) datastore.commit(create(credential, cred(n, `k${n}`)), create(api, apiRow(n)))
    follower.apply()
    for (let n = 2; n < 9; n++) await findKey(`k${n}`)
    await findPlugins()
    const view = worker.view()
    expect(view.one(credential, byKey, 'k2')).to.include({ key: 'k2' })
    datastore.rewind(4, 'second')
    await follower.load('other-history')
    expect(worker.position()).to.equal(4)
    expect(view.holds()).to.equal(false)
    expect(router.byId.size).to.equal(2)
    expect(await findKey('k8')).to.equal(null)
    expect(await findKey('k2')).to.include({ key: 'k2' })
    datastore.commit(create(credential, cred(9, 'k8')))
    follower.apply()
    expect(findKey('k8')).to.include({ id: uuid(9) })
  })

  it('answers those who wait across a reset from the new history', async () => {
    const { datastore, follower, findKey, ask, next } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    ask()
    const found = findKey('k')
    const before = await next()
    datastore.rewind(2, 'second')
    await follower.load('other-history')
    await before.answer(2)
    await (await next()).answer()
    expect(await found).to.equal(null)
  })

  it('a view holds through changes of what it did not ask for, and only through these', async () => {
    const { datastore, follower, worker, findKey } = await loaded()
    await findKey('k')
    await findKey('other')
    const view = worker.view()
    expect(view.holds()).to.equal(true)
    expect(view.one(credential, byKey, 'k')).to.equal(null)
    datastore.commit(create(credential, cred(1, 'other')))
    follower.apply()
    expect(view.holds()).to.equal(true)
    datastore.commit(create(credential, cred(2, 'k')))
    follower.apply()
    expect(view.holds()).to.equal(false)
  })

  it('a view does not hold when what it answered was purged or evicted since', async () => {
    const { datastore, follower, catalog, worker, findKey } = await loaded()
    for (const disturb of [
      () => catalog.purgeAll(),
      () => {
        catalog.dropKey('keyauth_credentials:k')
        datastore.commit(create(credential, cred(5, 'x')))
        follower.apply()
      },
    ]) {
      await findKey('k')
      const view = worker.view()
      view.one(credential, byKey, 'k')
      disturb()
      expect(view.holds()).to.equal(false)
    }
  })

  it('a request that waits for its plugins while its API and key-auth are deleted together is not let through', async () => {
    const { datastore, follower, worker, router, ask, next } = await loaded()
    ask()
    const view = worker.view()
    const matched = router.byId.get(uuid(1))
    const waiting = view.many(plugin, byApi, uuid(1), null)
    const question = await next()
    datastore.commit(remove(plugin, plug(1, 'key-auth')), remove(api, apiRow(1)))
    follower.apply()
    await question.answer(2)
    await (await next()).answer()
    expect(await waiting, 'no plugins: this alone would let it through').to.deep.equal([])
    expect(view.holds() && router.byId.get(uuid(1)) === matched).to.equal(false)
  })

  it('a request that knew its plugins before they were deleted with its API does not hold', async () => {
    const { datastore, follower, worker, findPlugins, ask, next } = await loaded()
    await findPlugins()
    ask()
    const view = worker.view()
    expect(view.many(plugin, byApi, uuid(1), null)).to.have.length(1)
    const waiting = view.one(credential, byKey, 'k')
    const question = await next()
    datastore.commit(remove(plugin, plug(1, 'key-auth')), remove(api, apiRow(1)))
    follower.apply()
    await question.answer()
    expect(await waiting).to.equal(null)
    expect(view.holds()).to.equal(false)
  })

  it('serves a purged entry while the datastore is away, asks again for the next, and is right when it is back', async () => {
    const { datastore, follower, catalog, worker, findKey } = await loaded()
    datastore.commit(create(credential, cred(1, 'k')))
    follower.apply()
    await findKey('k')
    catalog.purgeAll()
    datastore.answers = away
    for (let n = 0; n < 2; n++) {
      const view = worker.view()
      const found = view.one(credential, byKey, 'k')
      expect(found).to.be.a('promise')
      expect(await found).to.include({ key: 'k' })
      expect(view.holds()).to.equal(true)
    }
    expect(await failure(() => findKey('never asked'))).to.equal('unknown datastore-away')
    datastore.answers = () => undefined
    await findKey('k')
    expect(findKey('k'), 'proven again').to.include({ key: 'k' })
  })

  it('says unknown, with the reason, when the datastore refuses, and keeps nothing of it', async () => {
    const { datastore, findKey } = await loaded()
    datastore.answers = () => new TroopError('datastore-error', 'no such table')
    expect(await failure(() => findKey('k'))).to.equal('unknown datastore-error')
    datastore.answers = () => undefined
    expect(await findKey('k')).to.equal(null)
  })

  describe('asked to reach a position', () => {
    const patient = new AbortController().signal

    it('is there at once if it is applied, also by what it has not taken yet', async () => {
      const { datastore, follower, worker } = await loaded()
      follower.reach = () => expect.fail()
      await worker.reach(2, patient)
      const position = datastore.commit(create(api, apiRow(2)))
      follower.apply()
      await worker.reach(position, patient)
    })

    it('has the log pulled, and is there when what came of it was taken', async () => {
      const { datastore, worker, router } = await loaded()
      const position = datastore.commit(create(api, apiRow(2)))
      expect(worker.position()).to.be.below(position)
      await worker.reach(position, patient)
      expect(worker.position()).to.equal(position)
      expect(router.byId.has(uuid(2))).to.equal(true)
    })

    it('is there by what is loaded anew, and not by what is loaded below it', async () => {
      const { datastore, follower, worker } = await loaded()
      follower.pulls = false
      const done: number[] = []
      for (const position of [3, 4]) void worker.reach(position, patient).then(() => done.push(position))
      datastore.commit(create(credential, cred(1, 'k')))
      await follower.load('other-history')
      while (worker.position() < 3) await settle()
      await settle()
      expect(done).to.deep.equal([3])
    })

    it('stops waiting when it is told to, and when nothing is heard any more', async () => {
      const { link, worker } = await loaded()
      const impatient = new AbortController()
      const waits = [worker.reach(99, impatient.signal), worker.reach(99, patient)]
      impatient.abort()
      await waits[0]
      await worker.reach(99, impatient.signal)
      link.close()
      await waits[1]
      expect(await failure(() => worker.reach(99, patient))).to.equal('unknown link-lost')
    })
  })

  it('answers nothing any more once it was given up, even what it has in memory', async () => {
    const { link, worker, findKey, ask } = await loaded()
    await findKey('k')
    ask()
    const waiting = failure(() => findKey('other'))
    const view = worker.view()
    link.close()
    expect(await failure(() => findKey('k'))).to.equal('unknown link-lost')
    expect(view.holds()).to.equal(false)
    expect(await waiting).to.equal('unknown link-lost')
  })

  it('is given up when it takes no messages', async () => {
    const { catalog, lost } = await loaded()
    for (let n = 0; n <= 100_001; n++) catalog.dropKey('x')
    expect(lost).to.deep.equal(['the worker is 100000 messages behind'])
  }).timeout(60_000)

  it('asks for what its agent does not know, and is told so', async () => {
    const { findPlugins, follower, worker } = await loaded()
    await findPlugins()
    follower.catalog.lookupOf = () => undefined
    expect(await failure(() => worker.view().one(credential, byKey, 'k'))).to.equal('unknown lookup-failed')
  })
})
