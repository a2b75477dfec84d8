// What those who wait for a position cost: the agent of a node, its real follower and several workers, with a log in
// memory and a clock that a test moves.
import { expect } from 'chai'
import { silentLogger } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { AgentCatalog } from '../../../src/catalog/agent-catalog.ts'
import { AgentLink, openLink } from '../../../src/catalog/link.ts'
import { WorkerCatalog } from '../../../src/catalog/worker-catalog.ts'
import { Follower } from '../../../src/event-log/follower.ts'
import { MemoryLog } from '../../support/log.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { KeptRows } from '../../support/projection.ts'
import { api, entities, settle } from './world.ts'

const patient = new AbortController().signal

/** Above every position, and no two alike. */
const future = (n: number) => 1_000_000 + n

describe('a log that is hurried along', () => {
  const open: { close(): void }[] = []
  afterEach(() => {
    for (const thing of open.splice(0)) thing.close()
  })

  async function nodeWith(workerCount: number) {
    const clock = new ManualClock()
    const log = new MemoryLog()
    const catalog: AgentCatalog = new AgentCatalog({
      entities,
      projected: api,
      store: {
        find: () => expect.fail(),
        findMany: () => expect.fail(),
        page: () => expect.fail(),
        scan: async () => ({ value: 0, stamp: await log.head() }),
      },
      progress: {
        reach: (position) => follower.reach(position, 5000),
        observe() {},
        reset() {},
      },
      isAway: () => false,
      clock,
      logger: silentLogger,
      maxBytes: 1_000_000,
    })
    const follower: Follower = new Follower({
      log,
      subscriber: catalog,
      clock,
      random: systemRandom,
      logger: silentLogger,
    })
    await follower.start()
    const workers = Array.from({ length: workerCount }, () => {
      const { agent, worker: end } = openLink()
      const link = new AgentLink({ end: agent, catalog, logger: silentLogger, onLost: expect.fail })
      const worker = new WorkerCatalog({ end, projection: new KeptRows(), clock, maxBytes: 1_000_000 })
      open.push(link, worker)
      return worker
    })
    await Promise.all(workers.map(({ ready }) => ready))
    log.reads = 0
    /** Lets time go on in small steps, and what was sent arrive. */
    const pass = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 10) {
        clock.advance(10)
        for (let turn = 0; turn < 5; turn++) await settle()
      }
    }
    return { log, catalog, workers, pass, first: workers[0] as WorkerCatalog }
  }

  it('is pulled once for all who wait for one position', async () => {
    const { log, catalog, workers, pass, first } = await nodeWith(2)
    const { hurry } = catalog
    let questions = 0
    catalog.hurry = (position) => {
      questions++
      hurry.call(catalog, position)
    }
    const { position } = log.append('create')
    await Promise.all(workers.flatMap((worker) => [1, 2, 3].map(() => worker.reach(position, patient))))
    expect(first.position()).to.equal(position)
    await pass(1000)
    expect(questions, 'one of each worker').to.equal(2)
    expect(log.reads).to.equal(1)
  })

  it('is pulled ten times a second at the most, whatever positions clients ask for', async () => {
    const { log, workers, pass } = await nodeWith(3)
    let asked = 0
    for (let passed = 0; passed < 2000; passed += 10) {
      for (const worker of workers) {
        const impatient = new AbortController()
        void worker.reach(future(asked++), impatient.signal)
        void worker.reach(future(asked++), patient)
        // Many clients are gone before anything could come of what they asked for.
        impatient.abort()
      }
      await pass(10)
    }
    expect(asked).to.equal(1200)
    expect(log.reads).to.be.within(15, 21)
  })

  it('is pulled again for who comes later, however high what others wait for', async () => {
    const { log, pass, first } = await nodeWith(1)
    void first.reach(future(1), patient)
    await pass(1000)
    expect(log.reads).to.equal(1)
    for (let n = 0; n < 5; n++) {
      const { position } = log.append('create')
      const reached = first.reach(position, patient)
      await pass(200)
      expect(first.position()).to.equal(position)
      await reached
    }
  })

  it('is left alone once nobody waits any more', async () => {
    const { log, pass, first } = await nodeWith(1)
    const { position } = log.append('create')
    await first.reach(position, patient)
    const impatient = new AbortController()
    void first.reach(future(1), impatient.signal)
    impatient.abort()
    await pass(1000)
    expect(log.reads).to.equal(1)
  })
})
