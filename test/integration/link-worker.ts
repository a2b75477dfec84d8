// A worker thread that looks things up as fast as it can, and counts answers older than what its agent has said
// to be applied. Started by link.test.ts.
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../src/base/clock.ts'
import type { Row } from '../../src/base/json.ts'
import type { LinkEnd } from '../../src/catalog/link.ts'
import { WorkerCatalog } from '../../src/catalog/worker-catalog.ts'
import { KeptRows } from '../support/projection.ts'
import { byApi, byKey, credential, plugin, uuid } from '../unit/catalog/world.ts'

export interface Report {
  readonly lookups: number
  readonly stale: number
  readonly fromMemory: number
  readonly changesSeen: number
  /** Keys that no row has, known without asking. */
  readonly absences: number
}

const { end, shared, index } = workerData as { end: LinkEnd; shared: SharedArrayBuffer; index: number }
/** At 0, what is applied; then for each worker how often it has looked something up. */
const progress = new Int32Array(shared)
const projection = new KeptRows()
const count = { lookups: 0, stale: 0, fromMemory: 0 }
const seen = new Set<number>()

const catalog = new WorkerCatalog({
  end,
  clock: systemClock,
  maxBytes: 1_000_000,
  projection,
})

/** Each row carries the number of the change that made it. */
function check(least: number, found: Row | null | undefined): void {
  count.lookups++
  seen.add(Number(found?.revision))
  if (!(Number(found?.revision) >= least)) count.stale++
  Atomics.add(progress, index, 1)
}

await catalog.ready
parentPort?.postMessage('ready')
// -1 is the end. Now and then the loop lets messages come by themselves, as an idle worker would.
for (let turn = 0; Atomics.load(progress, 0) >= 0; turn++) {
  const least = Atomics.load(progress, 0)
  const row = catalog.view().one(credential, byKey, 'k')
  if (!(row instanceof Promise)) count.fromMemory++
  check(least, await row)

  const madeLeast = Atomics.load(progress, 0)
  if (madeLeast >= 0) check(madeLeast, await catalog.view().one(credential, byKey, `made ${madeLeast}`))
  if (turn % 10 === 0) await catalog.view().one(credential, byKey, `none ${turn}`)

  const listLeast = Atomics.load(progress, 0)
  check(listLeast, (await catalog.view().many(plugin, byApi, uuid(1), null)).at(-1))

  const apiLeast = Atomics.load(progress, 0)
  catalog.position()
  check(apiLeast, projection.byId.get(uuid(1)))
  if (turn % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
}
const { absences } = catalog.counters
parentPort?.postMessage({ ...count, changesSeen: seen.size, absences } satisfies Report)
catalog.close()
