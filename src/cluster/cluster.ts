// This node's place among the nodes that share its datastore: it registers, joins the others, hears who is there, and
// tells them what it has changed. DESIGN.md beside this file says what rests on what.
import { type Address, parseAddress } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Resources } from '../base/resources.ts'
import type { Stamp } from '../base/stamp.ts'
import type { Database } from '../database/database.ts'
import type { LogEvent } from '../event-log/event.ts'
import type { Delivered } from './delivery/acknowledgements.ts'
import { type Claim, Heartbeat } from './delivery/heartbeat.ts'
import { type Applier, type Change, Push, pushMethod } from './delivery/push.ts'
import { TransportStopped } from './errors.ts'
import { endsLife, isJoin, nodeChanges } from './membership/joins.ts'
import type { Member } from './membership/member.ts'
import { Membership, membershipMethod } from './membership/membership.ts'
import { PostgresRegistry } from './membership/postgres-registry.ts'
import { type ProfileName, profiles } from './membership/profile.ts'
import type { NodeIdentity, RegisteredNode, Registry } from './membership/registry.ts'
import { makeKey, parseKeys } from './transport/keys.ts'
import { TlsTransport } from './transport/tls-transport.ts'
import type { Peer, Transport } from './transport/transport.ts'

export interface ClusterOptions {
  readonly database: Database
  /** Reads the head of the log from the primary. */
  readonly log: { head(): Promise<Stamp> }
  /** The follower of the log. */
  readonly applier: Applier & { applied(): Stamp }
  /** Where other nodes reach this one; port 0 lets the system choose. */
  readonly listen: Address
  /** This node as it registers, once it is known on which port it listens. */
  readonly identify: (port: number) => Promise<NodeIdentity>
  /** Gives this node another name, kept over restarts: somebody has the one that it had. */
  readonly rename: () => Promise<string>
  /** Keys in base64; without any, nodes use the secret that lies in the datastore. */
  readonly encrypt: readonly string[]
  readonly profile: ProfileName
  /** Whether this node looks for others in the datastore. */
  readonly autoJoin: boolean
  /** On whose joins this node proves its entries anew. */
  readonly purgeOnJoin: 'all' | 'self'
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Nodes that start together may not see each other at first: the datastore is asked this often … */
const joinIntervalMs = 3000
/** … for so long after the start, and with every heartbeat's interval after that. */
const joinPeriodMs = 60_000
const lateJoinIntervalMs = 10_000
/** After that, a registered node that this one has not met is not waited for by writes. */
const strangerMs = 10_000
/** One that is named by a person is waited for longer than one that is found. */
const joinTimeoutMs = 5000

export class Cluster {
  readonly #options: ClusterOptions
  readonly #registry: Registry
  readonly #push: Push
  readonly #joining = new AbortController()
  #transport: Transport | undefined
  #membership: Membership | undefined
  #heartbeat: Heartbeat | undefined
  #startedAtMs = 0

  constructor(options: ClusterOptions) {
    const { clock, logger, applier } = options
    this.#options = options
    this.#registry = new PostgresRegistry(options.database)
    this.#push = new Push({
      applier,
      target: (name) => this.#membership?.peer(name),
      connected: () => this.#membership?.connectedNames() ?? [],
      mayAnswer: (name) => this.#mayAnswer(name),
      self: () => ({ name: this.name, life: this.#heartbeat?.claim.life ?? 0 }),
      clock,
      logger,
    })
  }

  /** This node's; empty before it is registered. */
  get name(): string {
    return this.#heartbeat?.claim.identity.name ?? ''
  }

  /**
   * Listens, registers, and begins to join the others. Before this node loads anything: its load is then as new as its
   * registration, and who writes after that knows of it.
   * @returns where it listens, as bound
   */
  async start(resources: Resources): Promise<Address> {
    const { listen, identify, encrypt, profile, clock, random, logger } = this.#options
    const { id, secret } = await this.#registry.credentials(makeKey(random))
    const keys = parseKeys(encrypt.length > 0 ? encrypt : [secret])
    const urgent = new Set([membershipMethod])
    const transport = new TlsTransport({ listen, cluster: id, keys, urgent, clock, logger })
    const onFenced = () => this.#heartbeat?.expire()
    const membership = new Membership({
      transport,
      profile: profiles[profile],
      clock,
      random,
      logger,
      onFenced,
    })
    this.#transport = transport
    this.#membership = membership
    const bound = await transport.start({
      isFenced: () => false,
      connected: (peer) => membership.connected(peer),
      handle: (peer, method, params) => this.#answer(peer, method, params),
      receive: (peer, method, params) => {
        if (method === membershipMethod) membership.receive(peer, params)
      },
    })
    resources.own('transport', transport)
    resources.add('membership', () => this.#leave())
    await this.#register(await identify(bound.port))
    void this.#join()
    return bound
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
    return changes.some((change) => isJoin(change) && (all || change.new?.name === this.name))
  }

  /** Tells the others what this node has committed and applied; see `Push.deliver`. */
  deliver(change: Change, events: readonly LogEvent[], limitMs: number): Promise<Delivered> {
    return this.#push.deliver(change, events, limitMs)
  }

  /** All members that this node knows of, itself included. */
  members(): readonly Member[] {
    return this.#membership?.list() ?? []
  }

  /** Connects to the node at `address`, and by it to all that it knows. @throws what `Transport.dial` does */
  async joinAt(address: string): Promise<void> {
    const parsed = parseAddress(address)
    if (!parsed || !this.#transport) throw new TypeError(`expected ip:port, got "${address}"`)
    await this.#transport.dial(parsed, joinTimeoutMs)
  }

  /** Makes a node leave for good; one that is there learns it and comes back with a new life. False if none has the name. */
  async forceLeave(name: string, prune = false): Promise<boolean> {
    const registered = await this.#registry.forceLeave(name)
    const known = this.#membership?.forceLeave(name, prune) ?? false
    return registered || known
  }

  /** Says that this node is about to go. What the datastore can't be told, expires. */
  async announceLeave(): Promise<void> {
    this.#joining.abort()
    this.#membership?.announceLeave()
    await this.#record('leaving')
  }

  /** Nodes that are registered and have neither left nor expired. */
  async registered(): Promise<readonly RegisteredNode[]> {
    const rows = await this.#registry.rows()
    return rows.filter(({ status, expired }) => status !== 'left' && !expired)
  }

  /** A node that is registered and that nobody has met may be on its way; not for long. */
  #mayAnswer(name: string): boolean {
    const status = this.#membership?.statusOf(name)
    if (status !== undefined) return status === 'alive' || status === 'leaving'
    return this.#options.clock.monotonic() - this.#startedAtMs < strangerMs
  }

  async #register(identity: NodeIdentity): Promise<void> {
    const { log, applier, clock, logger } = this.#options
    const registry = this.#registry
    const life = await registry.register(identity)
    if (this.#joining.signal.aborted) {
      // It was told to stop meanwhile: nobody is to wait for it.
      await registry.leave(identity.name, life, 'left')
      throw new TransportStopped()
    }
    this.#startedAtMs = clock.monotonic()
    const applied = () => applier.applied().position
    const renew = (claim: Claim, why: 'taken' | 'forced-out') => this.#renew(claim, why)
    this.#heartbeat = new Heartbeat({ registry, log, applied, clock, logger, renew }, { identity, life })
    this.#membership?.enter({ ...identity, life })
    logger.info('registered', { name: identity.name, address: identity.address, life })
  }

  async #renew({ identity }: Claim, why: 'taken' | 'forced-out'): Promise<Claim> {
    if (this.#joining.signal.aborted) throw new TransportStopped()
    const name = why === 'taken' ? await this.#options.rename() : identity.name
    const renewed = { ...identity, name }
    const life = await this.#registry.register(renewed)
    this.#membership?.enter({ ...renewed, life })
    return { identity: renewed, life }
  }

  /** Looks for nodes that this one does not know yet, for as long as it runs. */
  async #join(): Promise<void> {
    const { autoJoin, clock, logger } = this.#options
    const { signal } = this.#joining
    const start = clock.monotonic()
    while (autoJoin && !signal.aborted) {
      try {
        const head = await this.#options.log.head()
        this.#membership?.reconcile(await this.#registry.rows(), head.position)
      } catch (error) {
        logger.debug('could not look for other nodes', { error })
      }
      const young = clock.monotonic() - start < joinPeriodMs
      await clock.sleep(young ? joinIntervalMs : lateJoinIntervalMs, signal)
    }
  }

  #answer(peer: Peer, method: string, params: unknown): unknown {
    if (method === pushMethod) return this.#push.receive(params)
    throw new TypeError(`${peer.name} asked for ${method}, which this version does not know`)
  }

  async #leave(): Promise<void> {
    this.#joining.abort()
    this.#membership?.stop()
    await this.#record('left')
    this.#heartbeat = undefined
  }

  async #record(status: 'leaving' | 'left'): Promise<void> {
    const claim = this.#heartbeat?.claim
    if (!claim) return
    try {
      await this.#registry.leave(claim.identity.name, claim.life, status)
    } catch (error) {
      this.#options.logger.warn('could not record the leave of this node', { status, error })
    }
  }
}
