import { expect } from 'chai'
import { systemClock } from '../../../src/base/clock.ts'
import { codeOf, TroopError } from '../../../src/base/errors.ts'
import type { Row } from '../../../src/base/json.ts'
import { type LogFields, type Logger, silentLogger } from '../../../src/base/logger.ts'
import type { AgentCatalog } from '../../../src/catalog/agent-catalog.ts'
import { AgentLink, openLink } from '../../../src/catalog/link.ts'
import { WorkerCatalog } from '../../../src/catalog/worker-catalog.ts'
import { ManualClock } from '../../support/manual-clock.ts'
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
  rowOf,
  settle,
  uuid,
} from './world.ts'

const limitMs = 10_000
const cred = (n: number, more: Row = {}): Row => rowOf(n, { key: `k${n}`, ...more })
const away = () => new TroopError('datastore-away', 'gone')
const codeFrom = (promise: Promise<unknown>) => promise.then(() => 'no error', codeOf)

/** What waits between batches goes on with the next step. */
const steppedClock = { ...systemClock, sleep: settle }

async function loaded({ clock = steppedClock } = {}) {
  const errors: { sentence: string; fields: LogFields | undefined }[] = []
  const logger: Logger = {
    ...silentLogger,
    scope: () => logger,
    error: (sentence, fields) => void errors.push({ sentence, fields }),
  }
  const world = makeWorld({ clock, logger, maxBytes: 10_000_000 })
  const { datastore, follower, catalog } = world
  datastore.commit(
    create(api, rowOf(1, { name: 'a' })),
    create(credential, cred(2)),
    create(credential, cred(3)),
  )
  await follower.load('start')
  const findKey = (key: string) => catalog.find(credential, byKey, [key])
  /** Makes the entry wrong, as a fault would. */
  const spoil = async (key: string, rows: readonly Row[] = []) => {
    datastore.lies.set(`keyauth_credentials:${key}`, rows)
    await findKey(key)
    datastore.lies.clear()
  }
  const next = async (): Promise<Question> => {
    while (datastore.questions.length === 0) await settle()
    return datastore.questions.shift() as Question
  }
  const update = (n: number, more: Row) => datastore.commit(create(credential, cred(n, more)))
  return { ...world, errors, findKey, spoil, next, update }
}

describe('an audit', () => {
  const open: { close(): void }[] = []
  afterEach(() => {
    for (const thing of open.splice(0)) thing.close()
  })

  function connect(catalog: AgentCatalog) {
    const { agent: end, worker: otherEnd } = openLink()
    const link = new AgentLink({ end, catalog, logger: silentLogger, onLost: expect.fail })
    const projection = new KeptRows()
    const worker = new WorkerCatalog({ end: otherEnd, projection, clock: systemClock, maxBytes: 1_000_000 })
    open.push(link, worker)
    return { link, worker, end }
  }

  async function withWorker() {
    const world = await loaded()
    const connected = connect(world.catalog)
    await connected.worker.ready
    return { ...world, ...connected }
  }

  it('tells what it compared, and as of which place in the log', async () => {
    const { catalog, datastore, findKey, worker } = await withWorker()
    await findKey('k2')
    await worker.view().one(credential, byKey, 'k3')
    await worker.view().one(credential, byKey, 'none')
    await worker.view().many(plugin, byApi, uuid(1), null)
    const report = await catalog.audit(limitMs)
    expect(report).to.include({ ...datastore.head, unsettled: 0, repaired: 0 })
    expect(report.checked).to.deep.equal({ entries: 4, workerEntries: 3, rows: 1 })
    expect(report.wrong).to.deep.equal([])
    expect(Object.keys(report.digests)).to.have.members(['apis', 'keyauth_credentials', 'plugins'])
    for (const digest of Object.values(report.digests)) expect(digest).to.match(/^[0-9a-f]{64}$/)
    expect(JSON.parse(JSON.stringify(report))).to.deep.equal(report)
  })

  it('has equal digests on two nodes that hold the same, however they came by it, and others otherwise', async () => {
    const [one, two] = [await loaded(), await loaded()]
    for (const key of ['k2', 'k3']) await one.findKey(key)
    for (const key of ['k3', 'k2']) await two.findKey(key)
    const digests = async ({ catalog }: typeof one) => (await catalog.audit(limitMs)).digests
    const before = await digests(one)
    expect(await digests(two)).to.deep.equal(before)
    for (const { update, follower } of [one, two]) {
      update(2, { revision: 1 })
      follower.apply()
    }
    const after = await digests(one)
    expect(after.keyauth_credentials).to.not.equal(before.keyauth_credentials)
    expect(await digests(two)).to.deep.equal(after)
  })

  it('says by place and family how much was wrong, and logs that and no more of the keys', async () => {
    const { catalog, spoil, findKey, errors } = await loaded()
    await spoil('k2')
    await spoil('k3')
    const report = await catalog.audit(limitMs)
    const finding = { where: 'node', family: 'keyauth_credentials', count: 2 }
    expect(report.wrong).to.deep.equal([finding])
    expect(report.repaired).to.equal(2)
    expect(errors).to.deep.equal([
      { sentence: 'what was served is not what the datastore holds', fields: finding },
    ])
    expect((await findKey('k2')).value).to.deep.equal(cred(2))
  })

  it('does not claim to have repaired what is wrong again when it looks again', async () => {
    const { catalog, datastore, spoil, findKey } = await loaded()
    await spoil('k2')
    datastore.lies.set('keyauth_credentials:k2', [])
    catalog.attach({ seed() {}, change() {}, purge() {}, forget: () => void findKey('k2') })
    const report = await catalog.audit(limitMs)
    expect(report.wrong).to.deep.equal([{ where: 'node', family: 'keyauth_credentials', count: 1 }])
    expect(report.repaired).to.equal(0)
  })

  it('does not claim to have repaired what it could not look at again', async () => {
    const { catalog, datastore, follower, spoil, findKey, errors, update } = await loaded()
    await spoil('k2')
    catalog.attach({ seed() {}, change() {}, purge() {}, forget: () => void findKey('k2') })
    let revision = 0
    datastore.answers = () => {
      if (errors.length > 0) {
        update(2, { revision: ++revision })
        follower.apply()
      }
      return undefined
    }
    expect(await catalog.audit(limitMs)).to.deep.include({
      ...{ wrong: [{ where: 'node', family: 'keyauth_credentials', count: 1 }], repaired: 0, unsettled: 1 },
    })
  })

  it('looks again at what an event touched before the datastore had answered', async () => {
    const { catalog, datastore, follower, findKey, next, update } = await loaded()
    await findKey('k2')
    datastore.answers = undefined
    const report = catalog.audit(limitMs)
    await (await next()).answer()
    const asked = await next()
    update(2, { revision: 1 })
    await asked.answer()
    follower.apply()
    await (await next()).answer()
    expect(await report).to.deep.include({
      unsettled: 0,
      wrong: [],
      checked: { entries: 1, workerEntries: 0, rows: 1 },
    })
  })

  it('gives up on what changes each time that it looks, and says so', async () => {
    const { catalog, datastore, follower, findKey, update } = await loaded()
    for (const key of ['k2', 'k3']) await findKey(key)
    let revision = 0
    datastore.answers = () => {
      update(2, { revision: ++revision })
      follower.apply()
      return undefined
    }
    const report = await catalog.audit(limitMs)
    expect(report).to.deep.include({
      unsettled: 1,
      wrong: [],
      checked: { entries: 1, workerEntries: 0, rows: 1 },
    })
    expect(revision).to.be.below(30)
  })

  it('waits for this node to be where the datastore answered', async () => {
    const { catalog, datastore, follower, findKey, update } = await loaded()
    await findKey('k2')
    follower.pulls = false
    update(2, { revision: 1 })
    let isDone = false
    const report = catalog.audit(limitMs).finally(() => {
      isDone = true
    })
    for (let n = 0; n < 50; n++) await settle()
    expect(isDone).to.equal(false)
    follower.apply()
    follower.pulls = true
    expect(await report).to.deep.include({ position: datastore.head.position, wrong: [], unsettled: 0 })
  })

  it('leaves out what was purged: it counts as absent, and is proven when it is read', async () => {
    const { catalog, spoil } = await loaded()
    await spoil('k2')
    catalog.purgeAll()
    expect((await catalog.audit(limitMs)).checked.entries).to.equal(0)
  })

  it('asks for a bounded number of keys at once, and lets others run in between', async () => {
    const { catalog, datastore, findKey } = await loaded()
    for (let n = 0; n < 450; n++) await findKey(`absent ${n}`)
    datastore.answers = undefined
    let ticks = 0
    const between: number[] = []
    const turn = () => {
      ticks++
      tick = setImmediate(turn)
    }
    let tick = setImmediate(turn)
    const answering = (async () => {
      const sizes: number[] = []
      while (sizes.length < 4) {
        if (datastore.questions.length === 0) await settle()
        for (const question of datastore.questions.splice(0)) {
          between.push(ticks)
          sizes.push(question.key.split(',').length)
          await question.answer()
        }
      }
      return sizes
    })()
    const report = await catalog.audit(limitMs)
    clearImmediate(tick)
    expect(await answering).to.deep.equal([1, 200, 200, 50])
    expect(new Set(between).size, 'each in a turn of its own').to.equal(4)
    expect(report.checked.entries).to.equal(450)
  })

  it('is one at a time: who asks meanwhile has the same report', async () => {
    const { catalog, datastore, findKey, next } = await loaded()
    await findKey('k2')
    datastore.answers = undefined
    const first = catalog.audit(limitMs)
    const rows = await next()
    const second = catalog.audit(limitMs)
    await rows.answer()
    await (await next()).answer()
    expect(await first).to.equal(await second)
    expect(datastore.questions).to.have.length(0)
    datastore.answers = () => undefined
    expect(await catalog.audit(limitMs)).to.not.equal(await first)
  })

  it('ends when nobody waits for it any more, and not before', async () => {
    const clock = Object.assign(new ManualClock(), { sleep: settle })
    const { catalog, datastore, findKey, next } = await loaded({ clock })
    await findKey('k2')
    await catalog.find(plugin, byApi, [uuid(1), null])
    datastore.answers = undefined
    const [impatient, patient] = [codeFrom(catalog.audit(1000)), catalog.audit(2000)]
    const rows = await next()
    clock.advance(1000)
    expect(await impatient).to.equal('audit-timeout')
    await rows.answer()
    const entries = await next()
    clock.advance(1000)
    const error = await patient.catch((thrown) => thrown)
    expect(error.message).to.equal('the audit was not done within 2000 ms (keys compared: 1)')
    await entries.answer()
    for (let n = 0; n < 50; n++) await settle()
    expect(datastore.questions).to.have.length(0)
    datastore.answers = () => undefined
    expect((await catalog.audit(1000)).checked.entries).to.equal(2)
  })

  it('fails with a clear error while the datastore is away, asks it nothing, and drops nothing', async () => {
    const { catalog, datastore, spoil } = await loaded()
    await spoil('k2')
    datastore.isAway = true
    datastore.answers = undefined
    expect(await codeFrom(catalog.audit(limitMs))).to.equal('datastore-away')
    expect(datastore.questions).to.have.length(0)
    expect(catalog.counters.entries).to.equal(1)
  })

  it('fails when the datastore goes away meanwhile, and drops nothing of what it could not compare', async () => {
    const { catalog, datastore, spoil, errors } = await loaded()
    await spoil('k2')
    datastore.answers = away
    expect(await codeFrom(catalog.audit(limitMs))).to.equal('datastore-away')
    expect(catalog.counters.entries).to.equal(1)
    expect(errors).to.deep.equal([])
    datastore.answers = () => undefined
    expect((await catalog.audit(limitMs)).repaired).to.equal(1)
  })

  it('begins anew in another history, and reports of that one alone', async () => {
    const { catalog, datastore, follower, findKey, next, errors } = await loaded()
    await findKey('k2')
    datastore.answers = undefined
    const report = catalog.audit(limitMs)
    await (await next()).answer()
    const asked = await next()
    datastore.rewind(0, 'second')
    await follower.load('other-history')
    await asked.answer()
    datastore.answers = () => undefined
    expect(await report).to.deep.include({
      ...datastore.head,
      ...{ wrong: [], digests: {}, checked: { entries: 0, workerEntries: 0, rows: 0 } },
    })
    expect(errors).to.deep.equal([])
  })

  it('finds another history by itself, and has everything loaded anew', async () => {
    const { catalog, datastore, follower } = await loaded()
    datastore.rewind(1, 'second')
    const report = await catalog.audit(limitMs)
    expect(follower.resets).to.deep.equal(['other-history'])
    expect(report).to.include(datastore.head)
  })

  it('waits for the first load, and fails if that fails', async () => {
    const { catalog, datastore, follower } = makeWorld({ clock: steppedClock })
    const scan = datastore.scan.bind(datastore)
    datastore.scan = () => expect.fail('there is nothing to compare yet')
    const report = catalog.audit(limitMs)
    for (let n = 0; n < 10; n++) await settle()
    datastore.scan = scan
    await follower.load('start')
    expect(await report).to.include(datastore.head)
    datastore.scanFails = away()
    await follower.load('again').catch(() => undefined)
    expect(await codeFrom(catalog.audit(limitMs))).to.equal('datastore-away')
  })

  it('does not wait for a worker that ends, and finds nothing wrong with it', async () => {
    for (const message of ['list', 'inspect']) {
      const { catalog, end, link, worker } = await withWorker()
      await worker.view().one(credential, byKey, 'k2')
      const asked = Promise.withResolvers<void>()
      // A worker that does not answer any more.
      const post = end.port.postMessage.bind(end.port)
      end.port.postMessage = (sent) => (sent.kind === message ? asked.resolve() : post(sent))
      const report = catalog.audit(limitMs)
      await asked.promise
      link.close()
      expect(await report).to.deep.include({ wrong: [], unsettled: 0 })
    }
  })

  it('tells a worker from the one whose place it took meanwhile', async () => {
    const { catalog, datastore, follower, findKey, link, next } = await withWorker()
    await findKey('k2')
    datastore.answers = undefined
    const report = catalog.audit(limitMs)
    const rows = await next()
    link.close()
    const { end, worker } = connect(catalog)
    await worker.ready
    await worker.view().one(credential, byKey, 'k2')
    const position = datastore.commit(create(credential, cred(4)))
    follower.apply()
    const spoiling = {
      kind: 'put',
      key: 'keyauth_credentials:k2',
      position,
      row: cred(2, { revision: 'false' }),
    }
    end.port.postMessage({ kind: 'changes', position, operations: [spoiling], patches: [] })
    await rows.answer()
    await (await next()).answer()
    expect((await report).wrong).to.deep.equal([
      { where: 'worker 2', family: 'keyauth_credentials', count: 1 },
    ])
  })
})
