// For how long a worker's event loop does nothing else: while it takes a part of all APIs, all that the seed still has to do,
// and one change.
import { systemClock } from '../../../src/base/clock.ts'
import type { Row } from '../../../src/base/json.ts'
import { openLink, type ToWorker } from '../../../src/catalog/link.ts'
import { WorkerCatalog } from '../../../src/catalog/worker-catalog.ts'
import { Router } from '../../../src/proxy/router.ts'

export interface Taken {
  readonly partsMs: readonly number[]
  readonly seedMs: number
  readonly changesMs: readonly number[]
}

/** As the agent hands them out. */
const partRows = 200

export async function taking(apis: number, changes: number): Promise<Taken> {
  const { agent, worker: end } = openLink()
  const worker = new WorkerCatalog({ end, projection: new Router(), clock: systemClock, maxBytes: 1_000_000 })
  const counts = new BigInt64Array(agent.counts)
  const take = (message: ToWorker): number => {
    agent.port.postMessage(message)
    Atomics.add(counts, 0, 1n)
    const began = systemClock.monotonic()
    try {
      // Takes what was posted, as every lookup does.
      worker.position()
    } catch {
      // There is nothing to answer from before the seed.
    }
    return systemClock.monotonic() - began
  }
  const partsMs: number[] = []
  for (let first = 0; first < apis; first += partRows) {
    const rows = Array.from({ length: Math.min(partRows, apis - first) }, (_, i) => rowOf(first + i, ''))
    partsMs.push(take({ kind: 'part', rows, anew: false }))
  }
  const seedMs = take({ kind: 'seed', position: 1, patches: [] })
  const changesMs = Array.from({ length: changes }, (_, n) => {
    const row = rowOf((n * 997) % apis, `/${n}`)
    return take({ kind: 'changes', position: n + 2, operations: [], patches: [{ id: String(row.id), row }] })
  })
  worker.close()
  agent.port.close()
  return { partsMs, seedMs, changesMs }
}

/** As in the table that `populate` fills. */
function rowOf(i: number, path: string): Row {
  return {
    ...{
      id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
      name: `api-${i}`,
      created_at: 1_700_000_000_000,
    },
    request_host: i % 3 === 0 ? `host-${i}.example.com` : i % 3 === 1 ? `*.wild-${i}.example.com` : null,
    request_path: i % 3 === 2 ? `/team-${i % 100}/service-${i}` : null,
    upstream_url: `http://127.0.0.1:8080${path}`,
    ...{ preserve_host: false, strip_request_path: false },
  }
}
