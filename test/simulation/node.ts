// One node of a simulated world: the real agent and the real data plane of each of its workers, on simulated sockets,
// threads and clocks, with the simulated forms of what the datastore is to it.
import { Deadline, deadlineBuffer } from '../../src/base/deadline.ts'
import type { Logger } from '../../src/base/logger.ts'
import type { Random } from '../../src/base/random.ts'
import { Resources } from '../../src/base/resources.ts'
import type { Position, Stamp } from '../../src/base/stamp.ts'
import { AgentLink } from '../../src/catalog/link.ts'
import { WorkerCatalog } from '../../src/catalog/worker-catalog.ts'
import type { Delivered } from '../../src/cluster/delivery/acknowledgements.ts'
import type { Timing } from '../../src/cluster/membership/profile.ts'
import { Mesh } from '../../src/cluster/transport/mesh.ts'
import { coreEntities } from '../../src/entities/entities.ts'
import { Agent } from '../../src/node/agent.ts'
import { correlationId } from '../../src/plugins/correlation-id/correlation-id.ts'
import { ipRestriction } from '../../src/plugins/ip-restriction/ip-restriction.ts'
import { keyAuth } from '../../src/plugins/key-auth/key-auth.ts'
import { Counters, counterCount } from '../../src/proxy/counters.ts'
import { createProxy, type Gateway } from '../../src/proxy/proxy.ts'
import { Router } from '../../src/proxy/router.ts'
import type { Written } from '../../src/store/store.ts'
import { simulatedForms } from './forms.ts'
import { SimulatedPort } from './port.ts'
import { Process } from './process.ts'
import { type Question, sendTo, upstreams } from './request.ts'
import { type Server, Session, type SessionWatcher } from './session.ts'
import { SimulatedWire } from './wire.ts'

/** What outlives a process: its working directory. */
export interface Directory {
  name: string | undefined
}

export interface NodeSettings {
  readonly workers: number
  readonly heartbeatIntervalMs: number
  readonly ackTimeoutMs: number
  readonly timing: Timing
  readonly purgeOnJoin: 'all' | 'self'
  readonly maxStalenessMs: number | undefined
  readonly onStale: 'serve' | 'refuse'
  readonly ttlSeconds: number
  readonly cacheBytes: number
  readonly minPositionWaitMs: number
  readonly keepEvents: number
}

export interface SimulatedNodeOptions {
  /** Of the process, unique in the world: n1, n1.2 after a restart. */
  readonly label: string
  readonly host: string
  readonly directory: Directory
  readonly settings: NodeSettings
  readonly server: Server
  readonly random: Random
  readonly clockRate: number
  readonly logger: Logger
  readonly watcher: SessionWatcher
}

const listenPort = 7946
const plugins = [correlationId, ipRestriction, keyAuth]

/** A worker gets them bit by bit, though no seed makes many. */
const partRows = 1

/** More than any seed makes. */
const filterKeysMax = 10_000

interface Worker {
  readonly catalog: WorkerCatalog
  readonly gateway: Gateway
  readonly link: AgentLink
  readonly port: SimulatedPort
}

export class SimulatedNode {
  readonly label: string
  readonly host: string
  readonly settings: NodeSettings
  readonly process: Process
  readonly agent: Agent
  readonly directory: Directory
  /** When it began to serve; undefined before. */
  servesSinceMs: number | undefined
  isLeaving = false
  readonly workers: Worker[] = []
  readonly #options: SimulatedNodeOptions
  readonly #resources = new Resources()
  readonly #deadline: SharedArrayBuffer | undefined

  constructor(options: SimulatedNodeOptions) {
    const { label, host, server, random, clockRate: rate, settings, directory, logger } = options
    this.#options = options
    this.label = label
    this.host = host
    this.settings = settings
    this.directory = directory
    this.process = new Process({ scheduler: server.scheduler, random, rate })
    const { clock } = this.process
    const { maxStalenessMs, onStale } = settings
    this.#deadline = maxStalenessMs !== undefined && onStale === 'refuse' ? deadlineBuffer() : undefined
    this.agent = new Agent({
      datastore: simulatedForms(new Session(server, this.process, host, options.watcher)),
      entities: [...coreEntities, ...keyAuth.entities],
      heartbeatIntervalMs: settings.heartbeatIntervalMs,
      cluster: {
        makeTransport: ({ cluster, urgent }) =>
          new Mesh({
            wire: new SimulatedWire({
              ...{ network: server.network, process: this.process },
              listen: { host, port: listenPort },
            }),
            ...{ cluster, urgent, clock, logger: logger.scope('cluster') },
          }),
        identify: async (port) => {
          directory.name ??= this.#newName()
          return {
            name: directory.name,
            address: `${host}:${port}`,
            version: 'simulated',
            ttlSeconds: settings.ttlSeconds,
            refusesAfterMs: onStale === 'refuse' ? (maxStalenessMs ?? null) : null,
          }
        },
        rename: async () => {
          directory.name = this.#newName()
          return directory.name
        },
        profile: 'lan',
        timing: settings.timing,
        autoJoin: true,
        purgeOnJoin: settings.purgeOnJoin,
        staleness:
          maxStalenessMs === undefined ? undefined : { maxMs: maxStalenessMs, deadline: this.#deadline },
      },
      cacheBytes: settings.cacheBytes,
      filterKeysMax,
      partRows,
      retention: { keepDays: 90, keepEvents: settings.keepEvents },
      surroundings: { clock, random, logger },
    })
  }

  /** As node.ts: the agent first, then the workers, then traffic. Rejects with what kept it from starting. */
  async start(): Promise<void> {
    await this.agent.start(this.#resources)
    for (let i = 0; i < this.settings.workers; i++) await this.addWorker()
    this.servesSinceMs = this.#options.server.scheduler.now
  }

  /** Leaves, and ends. */
  async stop(): Promise<void> {
    this.isLeaving = true
    await this.agent.cluster.announceLeave()
    this.servesSinceMs = undefined
    await this.#resources.release().catch(() => undefined)
    this.process.kill()
  }

  get name(): string {
    return this.agent.cluster.name
  }

  /** Under which it is registered; 0 before. */
  get life(): Position {
    return this.agent.cluster.members().find(({ name }) => name === this.name)?.life ?? 0
  }

  get applied(): Stamp {
    return this.agent.events.applied()
  }

  isRunning(): boolean {
    return this.process.state !== 'dead'
  }

  serves(): boolean {
    return this.process.state === 'running' && this.servesSinceMs !== undefined && this.workers.length > 0
  }

  /** Whether something was not kept for want of room, here or in a worker. */
  hasForgotten(): boolean {
    const caches = [this.agent.catalog, ...this.workers.map(({ catalog }) => catalog)]
    return caches.some(({ counters }) => counters.evictions + counters.oversized > 0)
  }

  async addWorker(): Promise<void> {
    const { random, logger } = this.#options
    const { clock } = this.process
    const { cacheBytes, minPositionWaitMs } = this.settings
    const counts = new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT)
    const [ours, theirs] = SimulatedPort.pair(this.process, () => random.fraction())
    const link = new AgentLink({
      end: { port: ours.link, counts },
      catalog: this.agent.catalog,
      logger: logger.scope('catalog'),
      onLost: () => this.killWorker(link),
    })
    const router = new Router()
    const catalog = new WorkerCatalog({
      end: { port: theirs.link, counts, takeNext: () => theirs.takeNext() as never },
      ...{ projection: router, clock, maxBytes: cacheBytes },
    })
    await catalog.ready
    const gateway = createProxy({
      ...{ catalog, router, plugins, outbound: upstreams, trustedIps: [], minPositionWaitMs },
      // What no plugin of a simulation asks for.
      host: { logger, clock, random, counters: new Counters() as never, writer: {} as never },
      freshness: this.#deadline && new Deadline(this.#deadline, clock),
      version: 'simulated',
      counters: new Float64Array(counterCount),
      ...{ logger, clock },
    })
    this.workers.push({ catalog, gateway, link, port: theirs })
  }

  /** One of its threads ends; node.ts would put another one in its place. */
  killWorker(link = this.workers[0]?.link): void {
    const at = this.workers.findIndex((worker) => worker.link === link)
    if (at < 0) return
    const [worker] = this.workers.splice(at, 1)
    worker?.catalog.close()
    worker?.link.close()
    this.addWorker().catch(() => undefined)
  }

  /** Sends a request to one of its workers; `told` what came of it, unless the node dies before. */
  ask(worker: number, question: Question, told: (answer: string) => void): void {
    const { gateway } = this.workers[worker % this.workers.length] as Worker
    sendTo(gateway, question, this.process.clock.now(), told)
  }

  /** As the Admin API does it. */
  async write(write: () => Promise<Written | null>, waitMs: number): Promise<[Written, Delivered] | null> {
    const written = await write()
    if (!written) return null
    const limitMs = Math.min(waitMs, this.settings.ackTimeoutMs)
    try {
      return [written, await this.agent.publish(written, limitMs)]
    } catch {
      // As in crud.ts: it stands, and not even this node has it.
      return [written, { applied: 0, of: Math.max(written.nodes.length, 1), lagging: [] }]
    }
  }

  #newName(): string {
    return `sim_${this.host}:${listenPort}_${this.#options.random.hex(4)}`
  }
}
