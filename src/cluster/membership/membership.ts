// Carries out what members.ts decides: its messages go over the transport, its dials are made, its timer is kept.
import { formatAddress, parseAddress } from '../../base/address.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Position } from '../../base/stamp.ts'
import type { Peer, Transport } from '../transport/transport.ts'
import type { Peer as Known, Member, MemberStatus } from './member.ts'
import { type MemberEvent, Members, type Step } from './members.ts'
import { membershipMessage } from './message.ts'
import type { Profile } from './profile.ts'
import type { RegisteredNode } from './registry.ts'

export interface MembershipParts {
  readonly transport: Transport
  readonly profile: Profile
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** This node's life is over, as another member knows. */
  readonly onFenced: () => void
}

/** The method by which members speak; small and urgent. */
export const membershipMethod = 'member'

/** A dial within a site takes milliseconds; a dead address is not waited for longer than this. */
const dialTimeoutMs = 3000

export class Membership {
  readonly #parts: MembershipParts
  readonly #peers = new Map<string, Peer>()
  #members: Members | undefined
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
    const known = this.#members?.get(self.name)
    // A life that is not later than the one before is of another history: what was known of the others is too.
    if (this.#members && known && known.life < self.life) this.#carryOut(this.#members.renew(self.life, now))
    else this.#members = new Members({ self, profile, random, now })
    this.#keepTime()
  }

  list(): readonly Member[] {
    return this.#members?.list() ?? []
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
    this.#act((members, now) => members.receive(peer.name, message, now))
  }

  #act(decide: (members: Members, now: number) => Step | undefined): void {
    if (!this.#members) return
    const step = decide(this.#members, this.#parts.clock.monotonic())
    if (step) this.#carryOut(step)
    this.#keepTime()
  }

  #carryOut({ send, dial, events }: Step): void {
    // Dropped when there is no connection or it is full: all of it bears that.
    for (const { to, message } of send) this.#peers.get(to)?.notify(membershipMethod, message)
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
    const { logger, onFenced } = this.#parts
    if (event.kind === 'fenced') {
      logger.warn('this life of the node is over, as another member knows', { reason: event.reason })
      onFenced()
      return
    }
    const { name, address, life } = event.member
    const line = event.kind === 'failed' ? 'warn' : 'info'
    logger[line](`member ${event.kind}`, { member: name, address, life })
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
