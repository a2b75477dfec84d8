// What is broken, one thing at a time: each fault breaks it, repairs it, and is done when nothing is broken any more.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { systemClock } from '../../../src/base/clock.ts'
import { until } from '../../support/log.ts'
import type { TestServer } from '../../support/postgres.ts'
import { root } from '../../support/sources.ts'
import { listenAt, pester } from './strangers.ts'
import type { Trial, TrialOptions } from './trial.ts'

export interface Fault {
  /** What happens, as the table says it. */
  readonly name: string
  /** What the cluster has to be like. Faults with the same options may share one. */
  readonly options: TrialOptions
  inflict(trial: Trial): Promise<void>
  /** Why requests to nodes that nothing is done to may fail all the same. */
  readonly mayFail?: string
}

const sleep = (ms: number) => systemClock.sleep(ms)

/** A node that is gone for so long is `failed` to the others well before. */
const deadMs = 2000
/** Long enough for a node that hangs to be called failed, and for the connections to it to be given up. */
const hungMs = 6000
/** Longer than the limits of a query, a connection attempt and a check of the listener together. */
const awayMs = 9000

const plain: TrialOptions = {}
const relayed: TrialOptions = { relayed: true }
const apart: TrialOptions = { apart: true }
const ownClock: TrialOptions = { ownClock: true }

const ofProcesses: readonly Fault[] = [
  {
    name: 'a node is killed, and started again',
    options: plain,
    inflict: (trial) =>
      trial.afflicting([trial.victim], async () => {
        await kill(trial, trial.victim)
        await sleep(deadMs)
        await trial.node(trial.victim).launch()
      }),
  },
  {
    name: 'all nodes but one are killed at once, and started again',
    options: plain,
    inflict(trial) {
      const others = [...trial.nodes.keys()].slice(1)
      return trial.afflicting(others, async () => {
        await Promise.all(others.map((number) => kill(trial, number)))
        await sleep(deadMs)
        await Promise.all(others.map((number) => trial.node(number).launch()))
      })
    },
  },
  {
    name: 'a node stands still for six seconds',
    options: plain,
    inflict: (trial) =>
      trial.afflicting([trial.victim], async () => {
        trial.node(trial.victim).signal('SIGSTOP')
        await sleep(hungMs)
        trial.node(trial.victim).signal('SIGCONT')
      }),
  },
  {
    name: 'a worker thread dies, three times',
    options: {
      plugin: `
        import { definePlugin } from ${JSON.stringify(join(root, 'src/plugins/plugin.ts'))}
        export const plugin = definePlugin({
          name: 'fragile',
          phases: { access() { setTimeout(() => { throw new Error('died as asked') }) } },
        })`,
    },
    async inflict(trial) {
      const node = trial.node(trial.victim)
      await node.ask('POST', '/apis', {
        name: 'fragile',
        request_path: '/fragile',
        upstream_url: trial.upstream.url,
      })
      await node.ask('POST', '/apis/fragile/plugins', { name: 'fragile' })
      for (let round = 0; round < 3; round++) {
        await trial.afflicting([trial.victim], async () => {
          const { length } = node.output
          await node.call('/fragile').catch(() => undefined)
          await node.logged(/a worker was replaced/, length)
        })
        await sleep(500)
      }
    },
  },
  {
    name: 'all nodes are restarted in turn',
    options: plain,
    async inflict(trial) {
      for (const [number, node] of trial.nodes.entries()) {
        await trial.afflicting([number], async () => {
          node.signal('SIGQUIT')
          await node.ended()
          await node.launch()
        })
      }
    },
  },
  {
    name: 'all nodes reload their configuration, five times',
    options: plain,
    async inflict(trial) {
      for (let round = 0; round < 5; round++) {
        await Promise.all(
          trial.nodes.map(async (node) => {
            const { length } = node.output
            node.signal('SIGHUP')
            await node.logged(/"msg":"reloaded"/, length)
          }),
        )
      }
    },
  },
]

const ofTheDatastore: readonly Fault[] = [
  {
    name: 'Postgres is killed, and started again',
    options: plain,
    async inflict({ server }) {
      await server.kill()
      await sleep(deadMs)
      await server.start()
    },
  },
  {
    name: 'Postgres is restarted',
    options: plain,
    async inflict({ server }) {
      await server.stop()
      await server.start()
    },
  },
  {
    name: 'Postgres is away for nine seconds',
    options: plain,
    async inflict({ server }) {
      await server.stop()
      await sleep(awayMs)
      await server.start()
    },
  },
  {
    name: 'Postgres stands still for nine seconds',
    options: plain,
    async inflict({ server }) {
      const all = await processesOf(server)
      for (const pid of all) process.kill(pid, 'SIGSTOP')
      await sleep(awayMs)
      for (const pid of all) process.kill(pid, 'SIGCONT')
    },
  },
  {
    name: 'the disk of Postgres is full, then its log finds no room',
    options: { serverDisk: 400 },
    async inflict({ server, database, serverDisk }) {
      await serverDisk.fill()
      await sleep(awayMs / 2)
      // It needs a new file, and panics for want of one.
      await database.query('select pg_switch_wal()').catch(() => undefined)
      await sleep(awayMs / 2)
      await serverDisk.free()
      await server.start()
    },
  },
  {
    name: 'others take all connections of Postgres',
    options: { postgres: { max_connections: '60' } },
    async inflict({ server, database }) {
      const release = await takeAllConnections(server, database.database)
      await sleep(awayMs)
      await release()
    },
  },
  {
    name: 'connections to Postgres break, twenty a second',
    options: plain,
    async inflict(trial) {
      for (let i = 0; i < 100; i++) {
        trial.wire(i % trial.wires.length).cutOne()
        await sleep(50)
      }
    },
  },
  {
    name: 'Postgres is 100 ms away',
    options: plain,
    async inflict(trial) {
      for (const wire of trial.wires) wire.delayMs = 100
      await sleep(awayMs)
      for (const wire of trial.wires) wire.delayMs = 0
    },
  },
  {
    name: 'a node is cut off from Postgres in silence',
    options: plain,
    async inflict(trial) {
      const wire = trial.wire(trial.victim)
      wire.isolate()
      await sleep(awayMs)
      wire.mend()
    },
  },
  {
    name: 'the connections by which nodes are notified die in silence',
    options: plain,
    async inflict(trial) {
      for (const wire of trial.listening) wire.deaf()
      for (let i = 0; i < 20; i++) {
        await trial.changeBySql()
        await sleep(awayMs / 20)
      }
    },
  },
]

const ofTheNetwork: readonly Fault[] = [
  {
    name: 'nodes are 100 ms from each other',
    options: relayed,
    async inflict(trial) {
      for (const relay of trial.relays) relay.delayMs = 100
      await sleep(awayMs)
      for (const relay of trial.relays) relay.delayMs = 0
    },
  },
  {
    name: 'connections between nodes break, twenty a second',
    options: relayed,
    async inflict(trial) {
      for (let i = 0; i < 100; i++) {
        trial.relays[i % trial.relays.length]?.cutOne()
        await sleep(50)
      }
    },
  },
  {
    name: 'no node reaches another',
    options: apart,
    inflict: ({ network, nodes }) =>
      dropping(
        network,
        pairs(nodes.length).map(([from, to]) => network.between(from, to)),
      ),
  },
  {
    name: 'a node hears no other and is heard by them',
    options: apart,
    inflict: ({ network, victim }) =>
      dropping(network, [network.between(0, victim), network.between(1, victim)]),
  },
  {
    name: 'a node is cut off from the others and from Postgres',
    options: apart,
    inflict: ({ network, nodes, victim, wires }) =>
      dropping(network, [
        ...pairs(nodes.length)
          .filter((pair) => pair.includes(victim))
          .map(([from, to]) => network.between(from, to)),
        `ip saddr ${network.addressOf(victim)} tcp dport ${wires[victim]?.port}`,
        `ip daddr ${network.addressOf(victim)} tcp sport ${wires[victim]?.port}`,
      ]),
  },
  {
    name: 'one in five packets is lost, between nodes and to Postgres',
    options: apart,
    inflict: ({ network, nodes, wires }) =>
      dropping(
        network,
        [
          ...pairs(nodes.length).map(([from, to]) => network.between(from, to)),
          ...wires.flatMap(({ port }) => [`tcp dport ${port}`, `tcp sport ${port}`]),
        ].map((rule) => `${rule} numgen random mod 5 < 1`),
      ),
  },
]

const ofPeers: readonly Fault[] = [
  {
    name: 'on the port of a dead node something accepts and never answers',
    options: plain,
    inflict: (trial) => replaced(trial, 'nothing'),
  },
  {
    name: 'on the port of a dead node something answers garbage, and says it to the others',
    options: plain,
    async inflict(trial) {
      const strangers = trial.nodes.slice(0, -1).map(({ clusterAddress }) => pester(clusterAddress))
      await replaced(trial, 'garbage')
      await Promise.all(strangers.map((stranger) => stranger.leave()))
    },
  },
  {
    name: 'a node comes back with a version that has no protocol in common, and is taken back',
    options: plain,
    async inflict(trial) {
      await restartAs(trial, trial.victim, '2-2')
      await sleep(hungMs)
      await restartAs(trial, trial.victim, '1-1')
    },
  },
  {
    name: 'nodes are replaced in turn by those of the next version, which speaks this protocol too',
    options: plain,
    async inflict(trial) {
      for (const number of trial.nodes.keys()) await restartAs(trial, number, '1-2')
    },
  },
]

const ofTheMachine: readonly Fault[] = [
  {
    name: 'the clock of a node jumps an hour ahead, then two hours back',
    options: ownClock,
    inflict: jumpClock,
  },
  {
    name: 'the same, where nodes refuse rather than serve what may be old',
    options: { ownClock: true, cluster: { max_staleness: '5s', on_stale: 'refuse' } },
    mayFail:
      'a clock that is set ahead looks as if the machine had slept: until its next heartbeat the node refuses',
    inflict: jumpClock,
  },
  {
    name: 'the disk of a node is full; it reloads, is killed, and started when there is room',
    options: { nodeDisk: 1 },
    async inflict(trial) {
      const node = trial.node(trial.victim)
      await trial.nodeDisk.fill()
      const { length } = node.output
      node.signal('SIGHUP')
      await node.logged(/"msg":"reload/, length)
      await sleep(deadMs)
      await trial.afflicting([trial.victim], async () => {
        await kill(trial, trial.victim)
        const started = await node.launch().then(
          () => true,
          () => false,
        )
        await trial.nodeDisk.free()
        if (!started) await node.launch()
      })
    },
  },
]

export const faults: readonly Fault[] = [
  ...ofProcesses,
  ...ofTheDatastore,
  ...ofTheNetwork,
  ...ofPeers,
  ...ofTheMachine,
]

async function kill(trial: Trial, number: number): Promise<void> {
  trial.node(number).signal('SIGKILL')
  await trial.node(number).ended()
}

async function restartAs(trial: Trial, number: number, protocol: string): Promise<void> {
  const node = trial.node(number)
  const preload = join(import.meta.dirname, 'other-protocol.ts')
  await trial.afflicting([number], async () => {
    node.signal('SIGTERM')
    await node.ended()
    node.how = { env: { NODE_OPTIONS: `--import ${preload}`, FAULTS_PROTOCOL: protocol } }
    await node.launch()
  })
}

/** The postmaster first, so that it starts no others meanwhile. */
async function processesOf({ dir }: TestServer): Promise<readonly number[]> {
  const postmaster = (await readFile(join(dir, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0] as string
  const { stdout } = await promisify(execFile)('ps', ['-o', 'pid=', '--ppid', postmaster])
  return [Number(postmaster), ...stdout.trim().split(/\s+/).map(Number)]
}

/** Takes every connection that is free, then those that the nodes have; resolves with the call that gives them back. */
async function takeAllConnections(server: TestServer, database: string): Promise<() => Promise<void>> {
  const { host, port, user, password } = server
  const held: pg.Client[] = []
  const takeFree = async () => {
    for (;;) {
      const client = new pg.Client({ host, port, user, password, database })
      client.on('error', () => {})
      try {
        await client.connect()
        held.push(client)
      } catch {
        return
      }
    }
  }
  await takeFree()
  // Nodes are quick to connect anew, so it takes some rounds.
  for (let left = 1; left > 0; ) {
    const ended = await held[0]?.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'troop%'`,
    )
    left = ended?.rowCount ?? 0
    await takeFree()
  }
  return async () => {
    await Promise.all(held.map((client) => client.end()))
  }
}

async function dropping(network: Trial['network'], rules: readonly string[]): Promise<void> {
  await network.drop(...rules)
  await sleep(awayMs)
  await network.drop()
}

/** All pairs of different nodes, both ways. */
function pairs(size: number): [number, number][] {
  const all = Array.from({ length: size }, (_, number) => number)
  return all.flatMap((from) => all.filter((to) => to !== from).map((to): [number, number] => [from, to]))
}

/** The last node dies, and something else listens where it did. */
async function replaced(trial: Trial, says: 'nothing' | 'garbage'): Promise<void> {
  await trial.afflicting([trial.victim], async () => {
    const { clusterAddress } = trial.node(trial.victim)
    await kill(trial, trial.victim)
    const stranger = await listenAt(clusterAddress, says)
    await sleep(hungMs)
    await until(() => stranger.met > 0)
    await stranger.leave()
    await trial.node(trial.victim).launch()
  })
}

async function jumpClock({ clock }: Trial): Promise<void> {
  await clock.set('+1h')
  await sleep(hungMs / 2)
  await clock.set('-1h')
  await sleep(hungMs / 2)
  await clock.set('+0')
}
