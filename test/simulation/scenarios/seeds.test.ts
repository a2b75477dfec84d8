// Seeds that have failed, with what of them is needed for it.
import { expect } from 'chai'
import { type Plan, planOf } from '../plan.ts'
import { runPlan } from '../run.ts'

describe('in a simulated cluster, a seed that has failed', () => {
  it('holds: a write of a history that was lost is not taken for applied after a jump over its place (150)', async () => {
    const outcome = await runPlan(jumpAfterFailover)
    expect(outcome.violation).to.equal(undefined)
    expect(outcome.marks.get('load: too-big')).to.be.above(0)
  })

  it('holds: no write is asked for once everything is to come to rest (217)', () => {
    for (let seed = 200; seed < 300; seed++) {
      const { operations, warmUpMs, unrestMs } = planOf({ seed })
      for (const { atMs } of operations) expect(atMs).to.be.at.most(warmUpMs + unrestMs)
    }
  })
})

/** As it was drawn then: what a seed means changes with the simulation. */
const jumpAfterFailover: Plan = {
  seed: 150,
  nodes: 4,
  settings: {
    workers: 1,
    heartbeatIntervalMs: 500,
    ackTimeoutMs: 1000,
    timing: { probeIntervalMs: 1000 },
    purgeOnJoin: 'all',
    onStale: 'serve',
    ttlSeconds: 60,
    cacheBytes: 8000,
    minPositionWaitMs: 1000,
    keepEvents: 1000000,
    maxStalenessMs: undefined,
  },
  clockRates: [1.000009, 0.999971, 0.999992, 0.999993],
  replicaLagMs: 390.403724,
  warmUpMs: 1500,
  unrestMs: 6915.986298,
  faults: [
    {
      id: 0,
      atMs: 4456.007745,
      forMs: 1451.381037,
      kind: 'datastore silent',
      draws: [0.917775, 0.874944, 0.804994],
    },
    { id: 1, atMs: 6113.826755, forMs: 486.826404, kind: 'tail lost', draws: [0.568076, 0.484689, 0.99386] },
  ],
  operations: [
    { id: 3, atMs: 3679.518496, kind: 'number requests', waits: true, draws: [0.239677, 0.404306, 0.23625] },
    {
      id: 4,
      atMs: 4451.238014,
      kind: 'point api elsewhere',
      waits: true,
      draws: [0.041919, 0.094027, 0.970394],
    },
    {
      id: 10,
      atMs: 8027.964901,
      kind: 'write much past all nodes',
      waits: true,
      draws: [0.321794, 0.073465, 0.195539],
    },
  ],
}
