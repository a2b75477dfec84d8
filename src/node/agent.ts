// The node's main thread, joined: the store, the log that is followed, and the catalog that is kept right by it.

import type { Address } from '../base/address.ts'
import type { Resources } from '../base/resources.ts'
import type { Position } from '../base/stamp.ts'
import { AgentCatalog } from '../catalog/agent-catalog.ts'
import { Cluster, type ClusterOptions } from '../cluster/cluster.ts'
import type { Delivered } from '../cluster/delivery/acknowledgements.ts'
import { api } from '../entities/api.ts'
import type { Entity } from '../entities/define.ts'
import type { Subscriber } from '../event-log/event-log.ts'
import { Follower, type FollowerCounts } from '../event-log/follower.ts'
import { Listener } from '../event-log/listener.ts'
import { Prune, type PruneCounts, type Retention } from '../event-log/prune.ts'
import { Pull, type Reachability } from '../event-log/pull.ts'
import type { Store, Written } from '../store/store.ts'
import type { AgentDatastore } from './agent-datastore.ts'
import type { Surroundings } from './datastore.ts'
import { EventFeed } from './event-feed.ts'
import { observedStore } from './observed-store.ts'

export interface AgentOptions {
  readonly datastore: AgentDatastore
  readonly entities: readonly Entity[]
  readonly heartbeatIntervalMs: number
  readonly cluster: Pick<
    ClusterOptions,
    'makeTransport' | 'identify' | 'rename' | 'profile' | 'timing' | 'autoJoin' | 'purgeOnJoin' | 'staleness'
  >
  /** Bound on the node's own cache (L2), in bytes of estimated size. */
  readonly cacheBytes: number
  /** Keys in the filter; see `FilterOptions`. */
  readonly filterKeysMax: number
  /** Rows that are handed to a worker at once; see `Audience`. */
  readonly partRows?: number | undefined
  /** What of the log is kept. */
  readonly retention: Retention
  readonly surroundings: Surroundings
}

/**
 * A write of ours is committed; what is left is to pull it. Longer than this, the datastore went away in between,
 * and the answer says that the change happened and is not applied here yet.
 */
const applyLimitMs = 5000

export class Agent {
  readonly store: Store
  readonly catalog: AgentCatalog
  readonly cluster: Cluster
  /** The log, as the Admin API shows it. */
  readonly events: EventFeed
  readonly #follower: Follower
  readonly #listener: Listener
  readonly #pull: Pull
  readonly #prune: Prune

  constructor(options: AgentOptions) {
    const { datastore, entities, heartbeatIntervalMs, cluster, retention, surroundings } = options
    const { clock, random } = surroundings
    const logger = surroundings.logger.scope('event-log')
    const { log, history, subscribe, store, registry } = datastore
    this.events = new EventFeed(history)
    this.cluster = new Cluster({
      ...cluster,
      registry,
      log,
      // Made below, of what is made here; nothing is asked of it before it is there.
      applier: {
        applied: () => this.#follower.applied(),
        offer: (events) => this.#follower.offer(events),
        reach: (position, limitMs, path) => this.#follower.reach(position, limitMs, path),
        nudge: (position) => this.#follower.nudge(position),
        digestAt: (position) => this.#follower.digestAt(position),
        holds: (stamp) => this.#follower.holds(stamp),
      },
      isAway: () => this.#pull.isAway(),
      verify: (limitMs) => this.catalog.audit(limitMs),
      clock,
      random,
      logger: surroundings.logger.scope('cluster'),
    })
    this.catalog = new AgentCatalog({
      entities,
      projected: api,
      store,
      // The catalog follows the log and the log's follower tells the catalog: joined here, and only here.
      progress: {
        reach: (position) => this.#follower.reach(position, applyLimitMs),
        observe: (sent, answered) => this.#follower.observe(sent, answered),
        reset: (reason) => this.#follower.reset(reason),
      },
      isAway: () => this.#pull.isAway(),
      clock,
      logger: surroundings.logger,
      filter: { keysMax: options.filterKeysMax, random },
      maxBytes: options.cacheBytes,
      partRows: options.partRows,
    })
    const subscriber: Subscriber = {
      apply: (events, path) => {
        this.catalog.apply(events)
        if (this.cluster.notice(events, path)) this.catalog.proveAnew()
        this.events.apply(events)
      },
      load: async (reason) => {
        this.cluster.forget()
        const stamp = await this.catalog.load(reason)
        // Nothing is held now that was held before: lookups are not to wait for the next read of the head to be asked.
        this.#pull.answered()
        this.cluster.loaded(stamp, reason)
        this.events.jump(stamp)
        return stamp
      },
    }
    this.#follower = new Follower({ log: this.cluster.log, subscriber, clock, random, logger })
    this.store = observedStore(store, this.#follower)
    this.#pull = new Pull(
      { log: this.cluster, follower: this.#follower, clock, logger },
      { heartbeatIntervalMs },
    )
    this.#prune = new Prune({ log, clock, random, logger }, retention)
    this.#listener = new Listener({
      subscribe,
      clock,
      random,
      logger,
      onNews: (position) => this.#follower.nudge(position, 'notify'),
    })
  }

  /**
   * Listens, registers, loads, and catches up with the log; in this order, so that nothing falls between: an event
   * before the registration is in the load, and who writes one after it knows of this node.
   */
  async start(resources: Resources): Promise<Address> {
    resources.own('listener', this.#listener)
    await this.#listener.start()
    resources.own('catalog', this.catalog)
    // Stopped after the cluster was left: until then a push is applied and acknowledged.
    resources.own('follower', this.#follower)
    const bound = await this.cluster.start(resources)
    await this.#follower.start()
    resources.own('pull', this.#pull)
    this.#pull.start()
    resources.own('prune', this.#prune)
    this.#prune.start()
    return bound
  }

  /** Prunes the log to `retention` from now on. */
  keep(retention: Retention): void {
    this.#prune.keep(retention)
  }

  /**
   * Makes a committed change known: applies it here, then hands it to the others.
   * @param waitMs  how long to wait for the others' acknowledgements
   * @throws {NotReached} when not even this node could apply it
   */
  async publish({ stamp, nodes }: Pick<Written, 'stamp' | 'nodes'>, waitMs: number): Promise<Delivered> {
    await this.#follower.reach(stamp.position, applyLimitMs, 'write')
    return this.cluster.deliver(stamp, nodes, waitMs)
  }

  /** What is applied; null before the first load. */
  get position(): Position | null {
    const { position } = this.#follower.applied()
    return position < 0 ? null : position
  }

  /** What came of following the log. */
  get followed(): FollowerCounts {
    return this.#follower.counts()
  }

  get pruned(): PruneCounts {
    return this.#prune.counts()
  }

  /** Whether the datastore is known not to answer. */
  isAway(): boolean {
    return this.#pull.isAway()
  }

  get reachability(): Reachability {
    return this.#pull.reachability()
  }
}
