// The nodes of a benchmark: real processes on one datastore, each in sight of all others before anything is measured.
import { Agent } from 'node:http'
import { systemClock, within } from '../../../src/base/clock.ts'
import type { JsonObject } from '../../../src/base/json.ts'
import { until } from '../../support/log.ts'
import { NodeGroup } from '../../support/node-group.ts'
import type { NodeProcess } from '../../support/node-process.ts'
import type { TestDatabase, TestServer } from '../../support/postgres.ts'
import { type Answered, type Asked, ask } from '../../support/raw-http.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

export interface FleetOptions {
  readonly size: number
  /** Of `cluster`. */
  readonly settings?: JsonObject
  /** Whether nodes reach each other by relays, which count what passes, and take their time for it. */
  readonly relayed?: boolean
  /** Whether nodes do not look for each other: each is in a cluster of its own, on the same datastore. */
  readonly apart?: boolean
}

/** As many as start at a time: one per core of a small machine. */
const starters = 2
/** 30 nodes need 120 connections, of the 200 that the server takes. */
const poolSize = 3
/** The least that a node takes, so that 30 fit into a small machine. */
const leastMemory = { workers: 1, memory_cache_size: 32 }
/** Nodes that do not agree by then have a fault, and are not worth measuring. */
const listLimitMs = 60_000

/** Starts nodes on a fresh database of `server`, hands them to `work`, and takes them away again. */
export async function withFleet<T>(
  server: TestServer,
  options: FleetOptions,
  work: (fleet: Fleet) => Promise<T>,
): Promise<T> {
  const fleet = new Fleet(await NodeGroup.make(await server.database()))
  try {
    await fleet.start(options)
    return await work(fleet)
  } finally {
    await fleet.remove()
  }
}

export class Fleet {
  readonly relays: TcpProxy[] = []
  readonly #group: NodeGroup
  readonly #agents = new Set<Agent>()
  /** How much of each node's output has been looked through for alarms. */
  readonly #lookedThrough = new Map<NodeProcess, number>()
  #alarms = 0

  constructor(group: NodeGroup) {
    this.#group = group
    // The shortest answer that there is: a measurement is to be of the node.
    group.upstream.answer = (_, response) => response.writeHead(204).end()
  }

  get database(): TestDatabase {
    return this.#group.database
  }

  get nodes(): readonly NodeProcess[] {
    return this.#group.nodes
  }

  get upstreamUrl(): string {
    return this.#group.upstream.url
  }

  async start({ size, settings, relayed = false, apart = false }: FleetOptions): Promise<void> {
    let left = size
    const cluster = { ...settings, 'auto-join': !apart }
    const startInTurn = async () => {
      while (left-- > 0) await (relayed ? this.#startRelayed(cluster) : this.#startNode(cluster))
    }
    // All have ended before one that failed is reported: none starts behind the back of `remove`.
    const lanes = await Promise.allSettled(Array.from({ length: starters }, startInTurn))
    for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason
    await this.list(this.nodes, 'alive', apart ? 1 : size)
  }

  /** Waits until each of `nodes` lists `count` members with that status. */
  async list(nodes: readonly NodeProcess[], status: 'alive' | 'failed', count: number): Promise<void> {
    const lists = async (node: NodeProcess) =>
      (await node.ask('GET', `/cluster?status=${status}`)).body.total === count
    // One after the other: nodes that form a cluster have enough to do.
    const listed = (async () => {
      for (const node of nodes) await until(() => lists(node))
    })()
    await within(
      systemClock,
      listLimitMs,
      listed,
      () => new Error(`not all nodes list ${count} as ${status}`),
    )
  }

  /** A client with one connection that is kept: to a node's proxy or its Admin API. */
  client(url: string): (target: string, asked?: Asked) => Promise<Answered> {
    const { host, port } = new URL(url)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    this.#agents.add(agent)
    return (target, { headers = [], ...asked } = {}) =>
      ask(Number(port), target, { ...asked, headers: ['Host', host, ...headers], agent })
  }

  /** Starts a node again that has ended. */
  async relaunch(node: NodeProcess): Promise<void> {
    this.#lookThrough(node)
    this.#lookedThrough.delete(node)
    await node.launch()
  }

  /** How often nodes called a member failed since this was last asked. */
  takeAlarms(): number {
    for (const node of this.nodes) this.#lookThrough(node)
    const alarms = this.#alarms
    this.#alarms = 0
    return alarms
  }

  /** From now on nobody is notified of a change. */
  silence(): Promise<void> {
    return this.#group.silence()
  }

  async remove(): Promise<void> {
    for (const agent of this.#agents) agent.destroy()
    await this.#group.remove()
    await Promise.all(this.relays.map((relay) => relay.stop()))
  }

  #startNode(cluster: JsonObject): Promise<NodeProcess> {
    const { host, port, user, password, database } = this.database
    const postgres = { host, port, user, password, database, pool_size: poolSize }
    return this.#group.start({ ...leastMemory, postgres, cluster })
  }

  /** A node that tells the others a relay's address for its own. */
  async #startRelayed(cluster: JsonObject): Promise<void> {
    const listening = Promise.withResolvers<number>()
    const relay = await TcpProxy.to('127.0.0.1', listening.promise)
    this.relays.push(relay)
    let port = 0
    try {
      const node = await this.#startNode({ ...cluster, advertise: `127.0.0.1:${relay.port}` })
      port = Number(node.clusterAddress.split(':')[1])
    } finally {
      // Nobody is there if it did not start: whoever waits at the relay learns it.
      listening.resolve(port)
    }
  }

  #lookThrough(node: NodeProcess): void {
    const unread = node.output.slice(this.#lookedThrough.get(node) ?? 0)
    this.#alarms += [...unread.matchAll(/"msg":"member failed"/g)].length
    this.#lookedThrough.set(node, node.output.length)
  }
}
