import { expect } from 'chai'
import { systemClock } from '../../../src/base/clock.ts'
import type { Row } from '../../../src/base/json.ts'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import type { Changes, Listener, Part, Seed } from '../../../src/catalog/audience.ts'
import { AgentLink, openLink } from '../../../src/catalog/link.ts'
import { WorkerCatalog } from '../../../src/catalog/worker-catalog.ts'
import { Router } from '../../../src/proxy/router.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { api, create, makeWorld, remove, rowOf, settle, uuid } from './world.ts'

const apiRow = (n: number, host = `host-${n}.com`): Row =>
  rowOf(n, { name: `api ${n}`, request_host: host, request_path: null, upstream_url: 'http://u' })

/** Takes rows as a worker does, without a thread. */
class Taker implements Listener {
  readonly calls: string[] = []
  table = new Map<string, Row | null>()
  #parts: Row[] = []

  part({ rows, anew }: Part): void {
    this.calls.push(anew ? 'anew' : `part of ${rows.length}`)
    this.#parts = anew ? [...rows] : [...this.#parts, ...rows]
  }

  seed({ position, patches }: Seed): void {
    this.calls.push(`seed ${position}`)
    this.table = new Map(this.#parts.map((row) => [String(row.id), row]))
    this.#patch(patches)
  }

  change({ position, patches }: Changes): void {
    this.calls.push(`change ${position}`)
    this.#patch(patches)
  }

  purge(): void {
    this.calls.push('purge')
  }

  forget(): void {
    this.calls.push('forget')
  }

  get names(): unknown[] {
    return [...this.table.values()].flatMap((row) => row?.name ?? []).sort()
  }

  #patch(patches: Seed['patches']): void {
    for (const { id, row } of patches) this.table.set(id, row)
  }
}

/** An agent that has loaded some APIs, and hands out two of them at a time. */
async function loaded(count: number) {
  const clock = new ManualClock()
  const world = makeWorld({ clock })
  for (let n = 1; n <= count; n++) world.datastore.commit(create(api, apiRow(n)))
  await world.follower.load('start')
  /** Lets one part more be handed out. */
  const next = async () => {
    clock.advance(0)
    await settle()
  }
  return { ...world, next }
}

describe('who is told of changes', () => {
  it('has all rows at once where they are few', async () => {
    const { catalog } = await loaded(2)
    const taker = new Taker()
    catalog.attach(taker)
    expect(taker.calls).to.deep.equal(['anew', 'part of 2', 'seed 2'])
  })

  it('gets many rows bit by bit, and with the seed what has changed of them meanwhile', async () => {
    const { catalog, datastore, follower, next } = await loaded(5)
    const taker = new Taker()
    catalog.attach(taker)
    await next()
    expect(taker.calls).to.deep.equal(['anew', 'part of 2', 'part of 2'])
    // One that it has, one that is still to come, and a new one.
    datastore.commit(
      remove(api, apiRow(1)),
      create(api, { ...apiRow(5), name: 'changed' }),
      create(api, apiRow(6)),
    )
    follower.apply()
    expect(taker.calls).to.have.length(3)
    while (!taker.calls.includes('seed 8')) await next()
    expect(taker.names).to.deep.equal(['api 2', 'api 3', 'api 4', 'api 6', 'changed'])
    datastore.commit(create(api, apiRow(7)))
    follower.apply()
    expect(taker.calls.at(-1)).to.equal('change 9')
  })

  it('is told nothing else before its seed', async () => {
    const { catalog, next } = await loaded(5)
    const taker = new Taker()
    catalog.attach(taker)
    catalog.purgeAll()
    catalog.dropKey('keyauth_credentials:k')
    await next()
    await next()
    expect(taker.calls).to.deep.equal(['anew', 'part of 2', 'part of 2', 'part of 1', 'seed 5'])
  })

  it('gets what is loaded from another history as it is read, and nothing more of the one that was left', async () => {
    const { catalog, datastore, follower, next } = await loaded(5)
    const taker = new Taker()
    catalog.attach(taker)
    datastore.rewind(3, 'another history')
    const loading = follower.load('other-history')
    await next()
    await loading
    await next()
    expect(taker.calls).to.deep.equal(['anew', 'part of 2', 'anew', ...Array(3).fill('part of 1'), 'seed 3'])
    expect(taker.names).to.deep.equal(['api 1', 'api 2', 'api 3'])
  })

  it('that came in the middle of a load gets all that was read once it is done', async () => {
    const { catalog, datastore, follower, next } = await loaded(5)
    const scan = datastore.scan.bind(datastore)
    const taker = new Taker()
    datastore.scan = (entity, take) => {
      let taken = 0
      return scan(entity, (part) => {
        if (taken++ === 2) catalog.attach(taker)
        take(part)
      })
    }
    await follower.load('reset')
    while (!taker.calls.includes('seed 5')) await next()
    expect(taker.names).to.have.length(5)
  })

  it('starts from nothing again when a load failed in its middle', async () => {
    const { catalog, datastore, follower } = await loaded(3)
    const taker = new Taker()
    const scan = datastore.scan.bind(datastore)
    datastore.scan = async (_entity, take) => {
      datastore.scan = scan
      take([apiRow(9)])
      throw new Error('the connection broke')
    }
    const failed = follower.load('reset').catch((error) => error.message)
    catalog.attach(taker)
    expect(await failed).to.equal('the connection broke')
    await follower.load('reset')
    expect(taker.names).to.deep.equal(['api 1', 'api 2', 'api 3'])
  })

  it('which left is given nothing more', async () => {
    const { catalog, next } = await loaded(5)
    const taker = new Taker()
    const leave = catalog.attach(taker)
    leave()
    await next()
    expect(taker.calls).to.deep.equal(['anew', 'part of 2'])
  })
})

describe('a load that takes long', () => {
  it('says every two seconds how many rows it has', async () => {
    const clock = new ManualClock()
    const lines: unknown[] = []
    const logger: Logger = {
      ...silentLogger,
      info: (sentence, fields) => lines.push([sentence, fields]),
      scope: () => logger,
    }
    const { datastore, follower } = makeWorld({ clock, logger })
    for (let n = 1; n <= 5; n++) datastore.commit(create(api, apiRow(n)))
    const scan = datastore.scan.bind(datastore)
    datastore.scan = (entity, take) =>
      scan(entity, (rows) => {
        clock.advance(999)
        take(rows)
      })
    await follower.load('start')
    expect(lines).to.deep.equal([
      ['catalog loads', { reason: 'start' }],
      ['apis are loading', { loaded: 3 }],
    ])
  })
})

describe('a worker with many APIs', () => {
  const open: { close(): void }[] = []
  afterEach(() => {
    for (const thing of open.splice(0)) thing.close()
  })

  it('answers nothing from a part of them, and serves the old ones until it has all of the next', async () => {
    const { catalog, datastore, follower, next } = await loaded(5)
    const ends = openLink()
    const router = new Router()
    const link = new AgentLink({ end: ends.agent, catalog, logger: silentLogger, onLost: expect.fail })
    const worker = new WorkerCatalog({
      end: ends.worker,
      projection: router,
      clock: systemClock,
      maxBytes: 1_000_000,
    })
    open.push(link, worker)
    await next()
    catalog.purgeAll()
    expect(() => worker.view()).to.throw("can't tell")
    expect(router.match(['host-1.com'], '/')).to.equal(null)
    await next()
    await worker.ready
    expect(worker.position()).to.equal(5)
    const held = router.match(['host-1.com'], '/')?.api

    datastore.rewind(2, 'another history')
    datastore.commit(create(api, apiRow(8)))
    const scan = datastore.scan.bind(datastore)
    const seen: unknown[] = []
    datastore.scan = (entity, take) =>
      scan(entity, (part) => {
        take(part)
        seen.push(worker.position(), router.match(['host-5.com'], '/')?.api.id)
      })
    await follower.load('other-history')
    expect(seen).to.deep.equal([5, uuid(5), 5, uuid(5), 5, uuid(5)])
    expect(worker.position()).to.equal(3)
    expect(router.match(['host-5.com'], '/')).to.equal(null)
    expect(router.match(['host-8.com'], '/')?.api.id).to.equal(uuid(8))
    expect(router.match(['host-1.com'], '/')?.api, 'what is the same stays the same').to.equal(held)
  })
})
