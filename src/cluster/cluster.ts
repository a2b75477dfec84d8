// This node's place among the nodes that share its datastore: its registration, and what is known of the others.
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Position, Stamp } from '../base/stamp.ts'
import type { Database } from '../database/database.ts'
import type { LogEvent } from '../event-log/event.ts'
import { type Claim, Heartbeat } from './delivery/heartbeat.ts'
import { endsLife, isJoin, nodeChanges } from './membership/joins.ts'
import { PostgresRegistry } from './membership/postgres-registry.ts'
import type { NodeIdentity, RegisteredNode, Registry } from './membership/registry.ts'

export interface ClusterOptions {
  readonly database: Database
  /** Reads the head of the log from the primary. */
  readonly log: { head(): Promise<Stamp> }
  readonly identity: NodeIdentity
  /** On whose joins this node proves its entries anew. */
  readonly purgeOnJoin: 'all' | 'self'
  /** Up to where this node has applied the log. */
  readonly applied: () => Position
  /** Gives this node another name, kept over restarts: somebody has the one that it had. */
  readonly rename: () => Promise<string>
  readonly clock: Clock
  readonly logger: Logger
}

export class Cluster {
  readonly #options: ClusterOptions
  readonly #registry: Registry
  #heartbeat: Heartbeat | undefined
  #name: string

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#registry = new PostgresRegistry(options.database)
    this.#name = options.identity.name
  }

  get name(): string {
    return this.#name
  }

  /** Registers this node, which is a join for all nodes. Before it loads anything: its load is then as new as that. */
  async register(): Promise<void> {
    const { identity, log, applied, clock, logger } = this.#options
    const registry = this.#registry
    const life = await registry.register(identity)
    const renew = (claim: Claim, why: 'taken' | 'forced-out') => this.#renew(claim, why)
    this.#heartbeat = new Heartbeat({ registry, log, applied, clock, logger, renew }, { identity, life })
    logger.info('registered', { name: identity.name, address: identity.address, life })
  }

  /** The head of the log; reading it is this node's heartbeat. @throws {DatastoreAway} */
  head(): Promise<Stamp> {
    return this.#heartbeat?.head() ?? this.#options.log.head()
  }

  /**
   * Takes note of what was applied of the log.
   * @returns  whether a node joined on whose account this one is to prove what it holds anew
   */
  notice(events: readonly LogEvent[]): boolean {
    const changes = nodeChanges(events)
    const claim = this.#heartbeat?.claim
    if (claim && changes.some((change) => endsLife(change, claim.identity.name, claim.life))) {
      this.#heartbeat?.hurry()
    }
    const all = this.#options.purgeOnJoin === 'all'
    return changes.some((change) => isJoin(change) && (all || change.new?.name === this.#name))
  }

  /** Says that this node is about to go, or that it has gone. What the datastore can't be told, expires. */
  async leave(status: 'leaving' | 'left'): Promise<void> {
    const claim = this.#heartbeat?.claim
    if (!claim) return
    if (status === 'left') this.#heartbeat = undefined
    try {
      await this.#registry.leave(claim.identity.name, claim.life, status)
    } catch (error) {
      this.#options.logger.warn('could not record the leave of this node', { status, error })
    }
  }

  /** Nodes that are registered and have neither left nor expired. */
  async registered(): Promise<readonly RegisteredNode[]> {
    const rows = await this.#registry.rows()
    return rows.filter(({ status, expired }) => status !== 'left' && !expired)
  }

  async #renew({ identity }: Claim, why: 'taken' | 'forced-out'): Promise<Claim> {
    const name = why === 'taken' ? await this.#options.rename() : identity.name
    const renewed = { ...identity, name }
    const life = await this.#registry.register(renewed)
    this.#name = name
    return { identity: renewed, life }
  }
}
