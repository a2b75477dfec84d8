// Carries out what members.ts decides: its messages go over the transport, its dials are made, its timer is kept.
import { formatAddress, parseAddress } from '../../base/address.ts'
import { type Clock, type Moment, momentOf, type Timer } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import { Histogram } from '../../base/histogram.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Position } from '../../base/stamp.ts'
import type { Peer, Transport } from '../transport/transport.ts'
import type { Peer as Known, Member, MemberStatus } from './member.ts'
import { type Answer, type MemberEvent, Members, type MembersCounts, type Step } from './members.ts'
import { type MembershipMessage, membershipMessage, type Progress } from './message.ts'
import type { Profile } from './profile.ts'
import type { RegisteredNode } from './registry.ts'

export interface MembershipParts {
  readonly transport: Transport
  readonly profile: Profile
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** What this node has applied, to be told with its answers to probes; undefined before its first load. */
  readonly progress: () => Progress | undefined
  /** A member's answer to a probe that was sent at `askedAt`. */
  readonly onProgress: (member: string, progress: Progress, askedAt: Moment) => void
  /** Somebody says that this node's life is over: with certainty, or so that the datastore is to be asked. */
  readonly onFenced: (certain: boolean) => void
  /** A member, or this node itself, had been called failed, and is back in the same life. */
  readonly onReturned: (member: Pick<Member, 'name' | 'life'>) => void
}

/** The method by which members speak; small and urgent. */
export const membershipMethod = 'member'

/** Probes are answered within seconds or not at all; a few are sent each second. */
const probesKept = 64

/** Of round trips, in ms: from a neighbour to the other side of the world and back, and to what is late. */
const roundTripBoundsMs = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]

const noCounts: MembersCounts = { accusations: 0, refutations: 0, syncs: 0 }

/** A dial within a site takes milliseconds; a dead address is not waited for longer than this. */
const dialTimeoutMs = 3000

export class Membership {
  /** Of probes to the members that answered them, in ms. */
  readonly roundTrips = new Histogram(roundTripBoundsMs)
  readonly #parts: MembershipParts
  readonly #peers = new Map<string, Peer>()
  /** When probes were sent, by the time that the decisions know. */
  readonly #probedAt = new Map<number, Moment>()
  #members: Members | undefined
  /** What those before `#members` had counted. */
  #countsBefore = noCounts
  #timer: Timer | undefined

  constructor(parts: MembershipParts) {
    this.#parts = parts
  }

  /** Takes part from now on, as `self`; again with a new life. */
  enter(self: Known): void {
    const { transport, profile, random, clock } = this.#parts
    const address = parseAddress(self.address)
    if (!address) throw new TypeError(`${self.address} is no address`)
    transport.introduce({ name: self.name, life: self.life, address })
    const now = clock.monotonic()
    const before = this.#members
    const known = before?.get(self.name)
    // A life that is not later than the one before is of another history: what was known of the others is too.
    if (before && known && known.life < self.life) this.#carryOut(before.renew(self.life, now))
    else {
      // Before the first load: what registered before this node did is in its rows.
      const applied = () => this.#parts.progress()?.position ?? self.life
      this.#countsBefore = this.counts()
      this.#members = new Members({ self, profile, random, now, applied })
      // Under another name they do not know this node, nor it them; where they are is all that is left. One that seemed to
      // have failed may be there: it is this node that was away when somebody took its name.
      for (const member of before?.list() ?? []) {
        if (member.name !== known?.name && member.status !== 'left') void this.#dial({ ...member, life: 0 })
      }
    }
    this.#keepTime()
  }

  list(): readonly Member[] {
    return this.#members?.list() ?? []
  }

  /** Over all lives of this node; only ever rising. */
  counts(): MembersCounts {
    const { accusations, refutations, syncs } = this.#members?.counts ?? noCounts
    const before = this.#countsBefore
    return {
      accusations: before.accusations + accusations,
      refutations: before.refutations + refutations,
      syncs: before.syncs + syncs,
    }
  }

  /** The open connection to a member. */
  peer(name: string): Peer | undefined {
    return this.#peers.get(name)
  }

  /** Names of those that there is an open connection to. */
  connectedNames(): readonly string[] {
    return [...this.#peers.keys()]
  }

  /** Undefined for whom this node does not know. */
  statusOf(name: string): MemberStatus | undefined {
    return this.#members?.get(name)?.status
  }

  /** Learns of nodes from the datastore, and dials those that it does not know. */
  reconcile(rows: readonly RegisteredNode[], asOf: Position): void {
    this.#act((members, now) => members.reconcile(rows, asOf, now))
  }

  /** False when no member has that name. */
  forceLeave(name: string, prune: boolean): boolean {
    let found = false
    this.#act((members, now) => {
      const step = members.forceLeave(name, now, prune)
      found = step !== undefined
      return step
    })
    return found
  }

  announceLeave(): void {
    this.#act((members, now) => members.leave(now))
  }

  /** Says goodbye and is silent from now on. */
  stop(): void {
    this.#act((members, now) => members.left(now))
    this.#timer?.cancel()
    this.#countsBefore = this.counts()
    this.#members = undefined
  }

  /** For the transport: a peer is there, whoever dialled. */
  connected(peer: Peer): void {
    this.#peers.set(peer.name, peer)
    void peer.closed.then((end) => {
      if (this.#peers.get(peer.name) !== peer) return
      this.#peers.delete(peer.name)
      this.#parts.logger.debug('connection to a member ended', { member: peer.name, ...end })
      this.#act((members, now) => members.connectionLost(peer.name, now))
    })
    const { name, life } = peer
    const address = formatAddress(peer.address)
    this.#act((members, now) => members.connected({ name, life, address }, now))
  }

  /** For the transport: a member says something. Throws what is not a message, which ends the connection. */
  receive(peer: Peer, params: unknown): void {
    const message = membershipMessage.parse(params)
    this.#act((members, now) => {
      const step = members.receive(peer.name, message, now)
      for (const answer of step.answers) if (answer.name === peer.name) this.#note(message, answer)
      return step
    })
  }

  /** Sent after the probe was: as old as that, at the most. */
  #note(message: MembershipMessage, { name, sentAt, roundTripMs }: Answer): void {
    this.roundTrips.observe(roundTripMs)
    const askedAt = this.#probedAt.get(sentAt)
    if (message.kind === 'ack' && message.progress && askedAt) {
      this.#parts.onProgress(name, message.progress, askedAt)
    }
  }

  #act(decide: (members: Members, now: number) => Step | undefined): void {
    if (!this.#members) return
    const moment = momentOf(this.#parts.clock)
    const step = decide(this.#members, moment.monotonic)
    if (step?.send.some(({ message }) => message.kind === 'probe')) this.#remember(moment)
    if (step) this.#carryOut(step)
    this.#keepTime()
  }

  #remember(moment: Moment): void {
    this.#probedAt.set(moment.monotonic, moment)
    if (this.#probedAt.size > probesKept) this.#probedAt.delete(this.#probedAt.keys().next().value as number)
  }

  #carryOut({ send, dial, events }: Step): void {
    // Dropped when there is no connection or it is full: all of it bears that.
    for (const { to, message } of send) {
      const progress = message.kind === 'ack' ? this.#parts.progress() : undefined
      this.#peers.get(to)?.notify(membershipMethod, progress ? { ...message, progress } : message)
    }
    for (const known of dial) void this.#dial(known)
    for (const event of events) this.#tell(event)
  }

  async #dial({ name, address: text, life }: Known): Promise<void> {
    const { transport, logger } = this.#parts
    const address = parseAddress(text)
    try {
      if (!address) throw new TypeError(`${text} is no address`)
      await transport.dial(address, dialTimeoutMs, life > 0 ? { name, life } : { name })
    } catch (error) {
      logger.debug('a member could not be dialled', { member: name, address: text, error })
      const refused = codeOf(error) === 'nothing-listens'
      this.#act((members, now) =>
        refused ? members.dialRefused(name, now) : members.dialUnanswered(name, now),
      )
    }
  }

  #tell(event: MemberEvent): void {
    const { logger, onFenced, onReturned } = this.#parts
    switch (event.kind) {
      case 'fenced':
        logger.warn('this life of the node is over, as another member knows', { reason: event.reason })
        onFenced(true)
        break
      case 'doubted':
        onFenced(false)
        break
      case 'returned':
        logger.warn('this node had been called failed')
        onReturned(event.self)
        break
      default: {
        const { name, address, life } = event.member
        const line = event.kind === 'failed' ? 'warn' : 'info'
        logger[line](`member ${event.kind}`, { member: name, address, life })
        if (event.kind === 'back') onReturned(event.member)
      }
    }
  }

  #keepTime(): void {
    const { clock } = this.#parts
    this.#timer?.cancel()
    const due = this.#members?.nextDueAt ?? Number.POSITIVE_INFINITY
    if (!Number.isFinite(due)) return
    this.#timer = clock.after(Math.max(0, due - clock.monotonic()), () => {
      this.#act((members, now) => members.tick(now))
    })
  }
}
