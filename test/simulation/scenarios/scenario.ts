// Situations that we did think of: a calm cluster, to which a test does what it is about.
import { expect } from 'chai'
import type { Row } from '../../../src/base/json.ts'
import type { Delivered } from '../../../src/cluster/delivery/acknowledgements.ts'
import { api } from '../../../src/entities/api.ts'
import type { FaultKind } from '../faults.ts'
import type { NodeSettings, SimulatedNode } from '../node.ts'
import { planOf } from '../plan.ts'
import { inTurn } from '../scheduler.ts'
import { rowsOf } from '../tables.ts'
import { World } from '../world.ts'

export interface Scenario {
  readonly world: World
  /** By number, as the machine is; its newest process. */
  node(number: number): SimulatedNode
  /** A fault that hits whom its draws say, until it is ended. */
  strike(kind: FaultKind, ...draws: number[]): () => void
  /** Points an API elsewhere by a node's Admin API; what came of it is `answer` once it is there. */
  change(node: SimulatedNode, waitMs?: number): { answer?: Delivered | Error }
  /** The same past all nodes, so many rows at once. */
  changePast(rows: number): void
  run(ms: number): void
}

const settings: NodeSettings = {
  workers: 1,
  heartbeatIntervalMs: 1000,
  ackTimeoutMs: 1000,
  timing: {},
  purgeOnJoin: 'all',
  maxStalenessMs: undefined,
  onStale: 'serve',
  ttlSeconds: 60,
  cacheBytes: 1_000_000,
  minPositionWaitMs: 1000,
  keepEvents: 1_000_000,
}

const warmUpMs = 3000

/** Runs `play` on a cluster that has met; after it all is mended, and every claim must have held all along. */
export async function scenario(
  nodes: number,
  play: (scenario: Scenario) => void,
  differently: Partial<NodeSettings> = {},
): Promise<void> {
  const plan = {
    ...planOf({ seed: 1, nodes, faults: [] }),
    ...{ operations: [], replicaLagMs: 0, settings: { ...settings, ...differently } },
  }
  const outcome = await inTurn(() => {
    const world = new World(plan, 'lines')
    world.begin()
    world.scheduler.run(warmUpMs)
    play(playing(world))
    return world.end()
  })
  expect(outcome.violation, outcome.lines.slice(-40).join('\n')).to.equal(undefined)
}

function playing(world: World): Scenario {
  let revision = 1000
  const elsewhere = () => ({ upstream_url: `http://r${++revision}.example` })
  const first = () => rowsOf(world.datastore.head.tables, 'apis')[0] as Row
  return {
    world,
    node: (number) => world.nodes.find(({ label }) => label.split('.')[0] === `n${number}`) as SimulatedNode,
    strike: (kind, ...draws) => {
      const [one = 0, two = 0, three = 0] = draws
      return world.strike({ id: 0, kind, forMs: 3_600_000, draws: [one, two, three] })
    },
    change(node, waitMs = 10_000) {
      const told: { answer?: Delivered | Error } = {}
      const write = () =>
        node.agent.store.update(
          api,
          { id: first().id as string },
          (row) => ({ ...row, ...elsewhere() }),
          null,
        )
      node.write(write, waitMs).then(
        (outcome) => {
          if (!outcome) return
          told.answer = outcome[1]
          world.oracle.answered(node, ...outcome, waitMs)
        },
        (error) => {
          told.answer = error
        },
      )
      return told
    },
    changePast(rows) {
      world.datastore.commit(null, (changes) => {
        for (let i = 0; i < rows; i++) {
          const [row] = changes.rows('apis') as [Row]
          changes.update(api, row, { ...row, ...elsewhere() })
        }
      })
    },
    run: (ms) => world.scheduler.run(ms),
  }
}
