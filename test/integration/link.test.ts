import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { silentLogger } from '../../src/base/logger.ts'
import type { AgentCatalog } from '../../src/catalog/agent-catalog.ts'
import type { AuditReport } from '../../src/catalog/audit.ts'
import { AgentLink, openLink } from '../../src/catalog/link.ts'
import {
  api,
  create,
  credential,
  makeWorld,
  plugin,
  remove,
  rowOf,
  settle,
  uuid,
  type World,
} from '../unit/catalog/world.ts'
import type { Report } from './link-worker.ts'

const changes = 200

interface Running {
  readonly worker: Worker
  readonly link: AgentLink
  /** How often it has looked something up. */
  lookups(): number
}

/** Worker number `index`, from 1, once it is seeded. */
async function run(catalog: AgentCatalog, shared: SharedArrayBuffer, index: number): Promise<Running> {
  const { agent, worker: end } = openLink()
  const worker = new Worker(new URL('./link-worker.ts', import.meta.url), {
    workerData: { end, shared, index },
    transferList: [end.port],
  })
  const link = new AgentLink({ end: agent, catalog, logger: silentLogger, onLost: expect.fail })
  await once(worker, 'message')
  return { worker, link, lookups: () => Atomics.load(new Int32Array(shared), index) }
}

async function end(running: readonly Running[]): Promise<void> {
  for (const { link } of running) link.close()
  await Promise.all(running.map(({ worker }) => worker.terminate()))
}

const reportOf = async ({ worker }: Running) => (await once(worker, 'message'))[0] as Report

/** Two workers that look up what is changed under them, until all has been changed. */
async function amongChanges(
  { datastore, follower, catalog }: World,
  load = true,
): Promise<readonly Report[]> {
  const commit = (revision: number) => {
    const credentialRow = rowOf(2, { key: 'k', revision })
    return datastore.commit(
      // Now and then the row goes and comes back, so that the key is dropped and must be asked for again.
      ...(revision % 10 === 0 ? [remove(credential, credentialRow)] : []),
      create(credential, credentialRow),
      create(plugin, rowOf(3, { name: 'key-auth', api_id: uuid(1), consumer_id: null, revision })),
      create(api, rowOf(1, { revision })),
      create(credential, rowOf(100 + revision, { key: `made ${revision}`, revision })),
    )
  }
  commit(0)
  if (load) await follower.load('start')
  else follower.apply()
  const shared = new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT)
  const applied = new Int32Array(shared)
  const workers = await Promise.all([run(catalog, shared, 1), run(catalog, shared, 2)])
  const reports = workers.map(reportOf)
  try {
    for (let revision = 1; revision <= changes; revision++) {
      commit(revision)
      follower.apply()
      Atomics.store(applied, 0, revision)
      await settle()
      // In bursts, so that changes meet lookups; but not all before a slow worker has made its first one.
      const least = workers.map((worker) => worker.lookups() + 6)
      while (revision % 3 === 0 && workers.some((worker, n) => worker.lookups() < (least[n] as number))) {
        await settle()
      }
    }
    Atomics.store(applied, 0, -1)
    return await Promise.all(reports)
  } finally {
    await end(workers)
  }
}

describe('link to worker threads', () => {
  it('what the agent has applied, every lookup that starts later in any busy worker sees', async () => {
    for (const { stale, fromMemory, changesSeen } of await amongChanges(makeWorld())) {
      expect(stale).to.equal(0)
      expect(fromMemory).to.be.above(0)
      expect(changesSeen, 'the lookups ran among the changes').to.be.at.least(changes / 3)
    }
  })

  it('no worker misses a key that its agent knows, while keys come, go and move to other memory', async () => {
    const world = makeWorld({ filterKeysMax: 10_000, pageRows: 100 })
    const before = Array.from({ length: 500 }, (_, n) =>
      create(credential, rowOf(1000 + n, { key: `before ${n}` })),
    )
    world.datastore.commit(...before)
    await world.follower.load('start')
    while (!world.catalog.filter.inUse) await settle()
    for (const { stale, absences } of await amongChanges(world, false)) {
      expect(stale).to.equal(0)
      expect(absences, 'by the filter').to.be.above(0)
    }
    expect(world.catalog.filter).to.include({ inUse: true, keys: before.length + changes + 2 })
  })

  it('audits of workers that are busy with changes and lookups find nothing wrong', async () => {
    const world = makeWorld()
    let busy = true
    const auditing = async () => {
      const audits: AuditReport[] = []
      while (busy) audits.push(await world.catalog.audit(20_000))
      return audits
    }
    const changing = amongChanges(world).finally(() => {
      busy = false
    })
    const [audits] = await Promise.all([auditing(), changing])
    expect(audits.flatMap(({ wrong }) => wrong)).to.deep.equal([])
    const compared = audits.map(({ checked }) => checked.workerEntries)
    expect(Math.max(...compared), 'entries of both workers were compared').to.be.at.least(2)
  })

  it('forgets a worker that ended, and seeds the one that takes its place', async () => {
    const { datastore, follower, catalog } = makeWorld()
    datastore.commit(
      create(api, rowOf(1, { revision: 7 })),
      create(credential, rowOf(2, { key: 'k', revision: 7 })),
      create(credential, rowOf(3, { key: 'made 7', revision: 7 })),
    )
    await follower.load('start')
    datastore.commit(
      create(plugin, rowOf(3, { name: 'acl', api_id: uuid(1), consumer_id: null, revision: 7 })),
    )
    const shared = new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT)
    const first = await run(catalog, shared, 1)
    await first.worker.terminate()
    follower.apply()
    const applied = new Int32Array(shared)
    Atomics.store(applied, 0, 7)
    const second = await run(catalog, shared, 2)
    try {
      const report = reportOf(second)
      while (second.lookups() < 10) await settle()
      Atomics.store(applied, 0, -1)
      expect((await report).stale).to.equal(0)
    } finally {
      await end([first, second])
    }
  })
})
