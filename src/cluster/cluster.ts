// This node's place among the nodes that share its datastore: it registers, joins the others, hears who is there, and
// tells them what it has changed. DESIGN.md beside this file says what rests on what.
import { type Address, parseAddress } from '../base/address.ts'
import { type Clock, later, type Moment, momentOf } from '../base/clock.ts'
import { Counts } from '../base/counts.ts'
import { Deadline } from '../base/deadline.ts'
import type { Histogram } from '../base/histogram.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Resources } from '../base/resources.ts'
import type { Position, Stamp } from '../base/stamp.ts'
import type { RegisteredLife } from '../database/database.ts'
import type { LogEvent } from '../event-log/event.ts'
import type { DeliveryPath, EventLog } from '../event-log/event-log.ts'
import type { Delivered } from './delivery/acknowledgements.ts'
import { Freshness } from './delivery/freshness.ts'
import { Heartbeat } from './delivery/heartbeat.ts'
import { fetchMethod, PeerLog } from './delivery/peer-log.ts'
import { Propagation } from './delivery/propagation.ts'
import { type Applier, Push, type PushCounts, pushMethod, type Target } from './delivery/push.ts'
import { RecentTransactions } from './delivery/recent-transactions.ts'
import { TransportStopped } from './errors.ts'
import { isJoin, nodeChanges } from './membership/joins.ts'
import type { Member } from './membership/member.ts'
import type { MembersCounts } from './membership/members.ts'
import { Membership, membershipMethod } from './membership/membership.ts'
import type { Progress } from './membership/message.ts'
import { OwnLife } from './membership/own-life.ts'
import { type ProfileName, profileOf, type Timing } from './membership/profile.ts'
import { Registration } from './membership/registration.ts'
import type { Claim, NodeIdentity, RegisteredNode, Registry } from './membership/registry.ts'
import { Rounds } from './membership/rounds.ts'
import { type Answer, type NodeReport, type Positions, type Reach, Survey, surveyMethods } from './survey.ts'
import { makeKey } from './transport/keys.ts'
import type { Peer, Transport, TransportCounts } from './transport/transport.ts'

/** The follower of the log, as far as the cluster needs it. */
export interface Followed extends Applier {
  /** The log may have gone on up to `position`. */
  nudge(position: Position): void
}

/** What a transport is made of that is known only once the datastore was asked. */
export interface TransportSetup {
  /** The cluster's id, from the genesis event of its log. */
  readonly cluster: string
  /** The secret that lies in the datastore. */
  readonly secret: string
  /** Methods whose messages overtake others. */
  readonly urgent: ReadonlySet<string>
}

export interface ClusterOptions {
  readonly registry: Registry
  /** The log as it lies in the datastore. */
  readonly log: EventLog
  readonly applier: Followed
  /** Whether the datastore is known not to answer. */
  readonly isAway: () => boolean
  /** Makes what it talks to other nodes by; not started. */
  readonly makeTransport: (setup: TransportSetup) => Transport
  /** This node as it registers, once it is known on which port it listens. */
  readonly identify: (port: number) => Promise<NodeIdentity>
  /** Gives this node another name, kept over restarts: somebody has the one that it had. */
  readonly rename: () => Promise<string>
  readonly profile: ProfileName
  /** What goes over the profile. */
  readonly timing: Timing
  /** Whether this node looks for others in the datastore. */
  readonly autoJoin: boolean
  /** On whose joins this node proves its entries anew. */
  readonly purgeOnJoin: 'all' | 'self'
  /**
   * For how long this node may be uncertain whether it misses something before it says so and, with a deadline that its
   * workers look at, serves nothing until it is certain again. Undefined: there is no such bound.
   */
  readonly staleness?:
    | { readonly maxMs: number; readonly deadline: SharedArrayBuffer | undefined }
    | undefined
  /** Holds what this node serves against the datastore; JSON. */
  readonly verify: (limitMs: number) => Promise<unknown>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Why a life ends before its process does. */
const renewalReasons = ['taken', 'forced-out'] as const
type RenewalReason = (typeof renewalReasons)[number]

/** For metrics; only ever rising. What is undefined before the start is there after it. */
export interface ClusterCounts {
  readonly push: PushCounts
  readonly membership: MembersCounts | undefined
  /** Of probes, in ms. */
  readonly roundTrips: Histogram | undefined
  /** Times that this node registered anew while it ran. */
  readonly renewals: Readonly<Record<RenewalReason, number>>
}

/** After that, a registered node that this one has not met is not waited for by writes. */
const strangerMs = 10_000
/** One that is named by a person is waited for longer than one that is found. */
const joinTimeoutMs = 5000
/** A member that fails and comes back in a loop makes the caches prove themselves no more often than this. */
const rejoinIntervalMs = 30_000

export class Cluster {
  /** The log, from other nodes while the datastore is away. */
  readonly log: PeerLog
  readonly propagation: Propagation
  readonly #options: ClusterOptions
  readonly #registry: Registry
  readonly #recent = new RecentTransactions()
  readonly #push: Push
  readonly #freshness: Freshness
  readonly #survey: Survey
  /** What each member had applied when it last answered a probe. */
  readonly #progress = new Map<string, Progress>()
  readonly #stopping = new AbortController()
  readonly #renewals = new Counts(renewalReasons)
  #registration: Registration | undefined
  #transport: Transport | undefined
  #membership: Membership | undefined
  #heartbeat: Heartbeat | undefined
  readonly #ownLife = new OwnLife()
  #rounds: Rounds | undefined
  #startedAtMs = 0
  #isStale = false
  /** As the datastore last said it. */
  #head: Position = 0

  constructor(options: ClusterOptions) {
    const { clock, logger, applier, log, isAway, registry, staleness, verify } = options
    this.#options = options
    this.#registry = registry
    this.propagation = new Propagation(clock)
    this.#push = new Push({
      applier,
      target: (name) => this.#membership?.peer(name),
      connected: () => this.#membership?.connectedNames() ?? [],
      mayAnswer: (name) => this.#mayAnswer(name),
      self: () => ({ name: this.name, life: this.#heartbeat?.life ?? 0 }),
      clock,
      logger,
    })
    const { maxMs: maxStalenessMs = 0, deadline } = staleness ?? {}
    const bound = deadline && { maxStalenessMs, deadline: new Deadline(deadline, clock) }
    this.#freshness = new Freshness({ ...applier, clock }, bound)
    this.log = new PeerLog({
      log,
      isAway,
      ahead: (applied) => this.#ahead(applied),
      recent: this.#recent,
      digestAt: applier.digestAt,
      applied: applier.applied,
      logger,
    })
    this.#survey = new Survey({
      members: () => this.members(),
      self: () => this.name,
      peer: (name) => this.#membership?.peer(name),
      rows: () => this.#registry.rows(),
      head: () => log.head(),
      report: () => this.#report(),
      verify,
      clock,
    })
  }

  /** This node's; empty before it is registered. */
  get name(): string {
    return this.#heartbeat?.claim.identity.name ?? ''
  }

  /** Milliseconds since this node last was certain to miss nothing; undefined if it never was. */
  get freshnessMs(): number | undefined {
    return this.#freshness.ageMs
  }

  /** The newest position that this node knows of, applied or not. */
  get headPosition(): Position {
    const told = [...this.#progress.values()].map(({ position }) => position)
    return Math.max(this.#head, this.#options.applier.applied().position, ...told)
  }

  counts(): ClusterCounts {
    return {
      push: this.#push.counts(),
      membership: this.#membership?.counts(),
      roundTrips: this.#membership?.roundTrips,
      renewals: this.#renewals.all(),
    }
  }

  /** Undefined before the start. */
  transportCounts(): TransportCounts | undefined {
    return this.#transport?.counts()
  }

  /**
   * Listens, registers, and begins to join the others. Before this node loads anything: its load is then as new as its
   * registration, and who writes after that knows of it.
   * @returns where it listens, as bound
   * @throws {NameTaken} {LoopbackAdvertised} {DatastoreAway}
   */
  async start(resources: Resources): Promise<Address> {
    const { makeTransport, identify, random } = this.#options
    const { id: cluster, secret } = await this.#registry.credentials(makeKey(random))
    const transport = makeTransport({ cluster, secret, urgent: new Set([membershipMethod]) })
    const membership = this.#makeMembership(transport)
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
    await this.#register(transport, await identify(bound.port))
    return bound
  }

  /** The head of the log; reading it is this node's heartbeat. @throws {DatastoreAway} */
  async head(): Promise<Stamp> {
    const sentAt = momentOf(this.#options.clock)
    try {
      const head = await (this.#heartbeat?.head() ?? this.#options.log.head())
      this.#freshness.note(head, sentAt)
      this.#head = head.position
      return head
    } finally {
      this.#tellStaleness()
    }
  }

  /**
   * Takes note of a transaction that was applied.
   * @returns  whether a node joined on whose account this one is to prove what it holds anew
   */
  notice(events: readonly LogEvent[], path: DeliveryPath): boolean {
    this.#recent.add(events)
    this.#freshness.applied(events.at(-1) as LogEvent)
    this.propagation.record(events, path)
    const changes = nodeChanges(events)
    const claim = this.#heartbeat?.claim
    if (claim && this.#ownLife.note(changes, claim)) {
      this.#freshness.lease(undefined)
      this.#heartbeat?.hurry()
    }
    const all = this.#options.purgeOnJoin === 'all'
    return changes.some((change) => isJoin(change) && (all || change.new?.name === this.name))
  }

  /** All is forgotten, to be loaded anew: what was applied before may be of another history. */
  forget(): void {
    this.#recent.clear()
    this.#freshness.forget()
    this.#progress.clear()
    this.#head = 0
  }

  /**
   * All was loaded, as of `stamp`. What ended this life, or lost its row, may be among what was jumped over: nothing is
   * fresh under it until the row is seen. A life that began in another history than the one that was loaded, or may have,
   * is over: its position may be another's registration there, even one under this node's name.
   */
  loaded({ position }: Stamp, reason: string): void {
    this.#freshness.lease(undefined)
    this.#ownLife.jumped(position)
    this.#heartbeat?.hurry()
    const mayBeOfAnother = reason === 'other-history' || reason === 'pruned'
    if (mayBeOfAnother || (this.#heartbeat?.claim.life ?? 0) > position) this.#heartbeat?.expire()
  }

  /** Tells the others what this node has committed and applied; see `Push.deliver`. Those that are gone need not know. */
  deliver(stamp: Stamp, nodes: readonly RegisteredLife[], limitMs: number): Promise<Delivered> {
    const recipients = nodes.filter((node) => !(node.expired && this.#rounds?.isGone(node)))
    return this.#push.deliver({ stamp, recipients }, this.#recent.get(stamp.position), limitMs)
  }

  /** All members that this node knows of, itself included. */
  members(): readonly Member[] {
    return this.#membership?.list() ?? []
  }

  /** How far every node is, asked of each. */
  positions(): Promise<Positions> {
    return this.#survey.positions()
  }

  /** Which node reaches which, asked of each. */
  reachability(): Promise<readonly Reach[]> {
    return this.#survey.reachability()
  }

  /** What each node finds when it holds what it serves against the datastore, by name. */
  verify(limitMs: number): Promise<ReadonlyMap<string, Answer>> {
    return this.#survey.verify(limitMs)
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
    this.#stopping.abort()
    this.#membership?.announceLeave()
    await this.#record('leaving')
  }

  /** Nodes that are registered and have neither left nor expired. */
  async registered(): Promise<readonly RegisteredNode[]> {
    const rows = await this.#registry.rows()
    return rows.filter(({ status, expired }) => status !== 'left' && !expired)
  }

  #makeMembership(transport: Transport): Membership {
    const { profile, timing, clock, random, logger } = this.#options
    return new Membership({
      transport,
      profile: profileOf(profile, timing),
      clock,
      random,
      logger,
      progress: () => this.#ownProgress(),
      onProgress: (member, progress, askedAt) => this.#heed(member, progress, askedAt),
      onFenced: (certain) => (certain ? this.#heartbeat?.expire() : this.#heartbeat?.hurry()),
      onReturned: ({ name, life }) => void this.#rejoin(name, life),
    })
  }

  async #register(transport: Transport, identity: NodeIdentity): Promise<void> {
    const { log, applier, clock, logger, rename } = this.#options
    const registry = this.#registry
    const registration = new Registration({ registry, transport, rename, clock, logger })
    this.#registration = registration
    const sentAt = momentOf(clock)
    const claim = await registration.begin(identity)
    await this.#requireRunning(claim)
    this.#startedAtMs = clock.monotonic()
    const held = ({ identity: { ttlSeconds } }: Claim, since: Moment) =>
      this.#freshness.lease(later(since, ttlSeconds * 1000))
    this.#heartbeat = new Heartbeat(
      {
        registry,
        log,
        applied: () => applier.applied().position,
        fate: (lost, since) => this.#ownLife.fate(lost, since),
        clock,
        logger,
        renew: (lost, why) => this.#renew(lost, why),
        held,
        lost: () => this.#freshness.lease(undefined),
        told: (now, since) => this.propagation.tell(now, since),
      },
      claim,
    )
    held(claim, sentAt)
    this.#enter(claim)
    this.#watch()
    logger.info('registered', { name: identity.name, address: identity.address, life: claim.life })
  }

  async #renew(lost: Claim, why: RenewalReason): Promise<Claim> {
    if (this.#stopping.signal.aborted || !this.#registration) throw new TransportStopped()
    const claim = await this.#registration.renew(lost, why)
    await this.#requireRunning(claim)
    this.#renewals.add(why)
    this.#enter(claim)
    return claim
  }

  /** It may have been told to stop while it registered: then nobody is to wait for it. */
  async #requireRunning({ identity, life }: Claim): Promise<void> {
    if (!this.#stopping.signal.aborted) return
    await this.#registry.leave(identity.name, life, 'left')
    throw new TransportStopped()
  }

  #enter({ identity: { name, address }, life }: Claim): void {
    this.#membership?.enter({ name, address, life })
  }

  /** Looks at the rows of all nodes now and then, for as long as it runs. */
  #watch(): void {
    const { autoJoin, clock, logger, log } = this.#options
    this.#rounds = new Rounds({
      registry: this.#registry,
      log,
      self: () => this.#heartbeat?.claim.identity,
      statusOf: (name) => this.#membership?.statusOf(name),
      reconcile: (rows, asOf) => {
        if (autoJoin) this.#membership?.reconcile(rows, asOf)
      },
      clock,
      logger,
    })
    void this.#rounds.run(this.#stopping.signal)
  }

  #answer(peer: Peer, method: string, params: unknown): unknown {
    if (method === pushMethod) return this.#push.receive(params)
    if (method === fetchMethod) return this.log.answer(params)
    const isKnown = Object.values(surveyMethods).some((known) => known === method)
    if (isKnown) return this.#survey.answer(method, params)
    throw new TypeError(`${peer.name} asked for ${method}, which this version does not know`)
  }

  /** A node that is registered and that nobody has met may be on its way; not for long. */
  #mayAnswer(name: string): boolean {
    const status = this.#membership?.statusOf(name)
    if (status !== undefined) return status === 'alive' || status === 'leaving'
    return this.#options.clock.monotonic() - this.#startedAtMs < strangerMs
  }

  #tellStaleness(): void {
    const { staleness, logger } = this.#options
    const { ageMs } = this.#freshness
    if (!staleness || ageMs === undefined || ageMs > staleness.maxMs === this.#isStale) return
    this.#isStale = !this.#isStale
    if (this.#isStale)
      logger.warn('this node may be missing changes', { ageMs, refuses: !!staleness.deadline })
    else logger.info('this node is certain again to miss nothing')
  }

  #ownProgress(): Progress | undefined {
    const { position, digest } = this.#options.applier.applied()
    const freshnessMs = this.#freshness.ageMs
    if (position < 0) return undefined
    return { position, digest, ...(freshnessMs !== undefined && { freshnessMs }) }
  }

  /** A member that is ahead knows of what did not come here; one that is as far knows since when nothing is missing. */
  #heed(member: string, progress: Progress, askedAt: Moment): void {
    const { applier } = this.#options
    this.#progress.set(member, progress)
    if (progress.freshnessMs !== undefined)
      this.#freshness.note(progress, later(askedAt, -progress.freshnessMs))
    if (progress.position > applier.applied().position) applier.nudge(progress.position)
  }

  /** Connections to members that have applied more. */
  #ahead({ position }: Stamp): Target[] {
    return [...this.#progress]
      .filter(([, progress]) => progress.position > position)
      .flatMap(([name]) => this.#membership?.peer(name) ?? [])
  }

  #report(): NodeReport {
    const { position, digest } = this.#options.applier.applied()
    return {
      position,
      digest,
      freshnessMs: this.#freshness.ageMs ?? null,
      propagationMs: this.propagation.lastMs,
    }
  }

  /** One that was called failed and is back: all prove what they hold, as after a join. */
  async #rejoin(name: string, life: Position): Promise<void> {
    const { purgeOnJoin, logger } = this.#options
    if (purgeOnJoin === 'self') return
    await this.#registry.rejoin(name, life, rejoinIntervalMs).catch((error) => {
      logger.warn('the return of a node could not be recorded', { member: name, error })
    })
  }

  async #leave(): Promise<void> {
    this.#stopping.abort()
    await this.#heartbeat?.stop()
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
