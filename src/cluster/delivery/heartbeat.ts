// One node's claim on its name: every so often it says that it is there, and learns whether the name is its own
// still. Its reads of the head are those that find what no push and no notification told.
import { type Clock, type Moment, momentOf } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Position, Stamp } from '../../base/stamp.ts'
import type { OwnLife } from '../membership/own-life.ts'
import type { Claim, Registry } from '../membership/registry.ts'

export interface HeartbeatParts {
  readonly registry: Registry
  /** Reads the head alone, when nothing need be written. */
  readonly log: { head(): Promise<Stamp> }
  /** Up to where this node has applied the log. */
  readonly applied: () => Position
  /** As in `OwnLife`. */
  readonly fate: OwnLife['fate']
  readonly clock: Clock
  readonly logger: Logger
  /** Registers anew: the life is over, since somebody made the node leave, or has its name. */
  readonly renew: (claim: Claim, why: 'taken' | 'forced-out') => Promise<Claim>
  /** The row stood after `sentAt`. */
  readonly held: (claim: Claim, sentAt: Moment) => void
  /** It does not, or nobody believes that it does: nothing is to be served under it, until it is held again. */
  readonly lost: () => void
  /** The database's clock showed `now` somewhen between `sentAt` and this call; in milliseconds since 1970. */
  readonly told: (now: number, sentAt: Moment) => void
}

/**
 * Between two writes of the row. It bounds how long after a crash a row seems fresh, and how old the applied position
 * in it may be; each write is one small update per node without waiting for the disk.
 */
const writeIntervalMs = 10_000

export class Heartbeat {
  readonly #parts: HeartbeatParts
  #claim: Claim
  /** The head of the log when the row was seen to stand. */
  #stoodAt: Position
  #nextWriteMs = Number.NEGATIVE_INFINITY
  #expired = false
  #stopped = false
  #beating: Promise<unknown> = Promise.resolve()

  constructor(parts: HeartbeatParts, claim: Claim) {
    this.#parts = parts
    this.#claim = claim
    this.#stoodAt = claim.life
  }

  get claim(): Claim {
    return this.#claim
  }

  /** In which this node speaks for itself; 0, which is nobody's, from when it is over until the next one has begun. */
  get life(): Position {
    return this.#expired ? 0 : this.#claim.life
  }

  /** The head of the log, from the primary; with it, when it is time, the heartbeat. @throws {DatastoreAway} */
  async head(): Promise<Stamp> {
    const { clock, log, logger } = this.#parts
    if (this.#stopped || clock.monotonic() < this.#nextWriteMs) return log.head()
    // Before it is sent: what asks for the next one meanwhile is not to be put off.
    this.#nextWriteMs = clock.monotonic() + writeIntervalMs
    const beating = this.#beat()
    this.#beating = beating.catch(() => undefined)
    try {
      return await beating
    } catch (error) {
      this.hurry()
      if (codeOf(error) === 'datastore-away') throw error
      // A datastore that takes no writes can still be read.
      logger.warn('the heartbeat could not be written', { error })
      return log.head()
    }
  }

  /** Writes with the next read of the head: the life may be over. */
  hurry(): void {
    this.#nextWriteMs = Number.NEGATIVE_INFINITY
  }

  /** The others take the life for ended, whatever the row says: the next read of the head begins a new one. */
  expire(): void {
    this.#expired = true
    this.#parts.lost()
    this.hurry()
  }

  /** Claims nothing from now on; resolves once what was under way has ended, and `claim` is the last there was. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#beating
  }

  /** Writes, and claims again what was lost. */
  async #beat(): Promise<Stamp> {
    const { registry, applied, clock, held, lost, told } = this.#parts
    const { identity, life } = this.#claim
    const sentAt = momentOf(clock)
    const { head, holding, now } = await registry.beat(identity.name, life, Math.max(applied(), 0))
    told(now, sentAt)
    if (holding === 'held') this.#stoodAt = head.position
    if (holding === 'held' && !this.#expired) held(this.#claim, sentAt)
    else lost()
    if (this.#stopped) return head
    if (this.#expired) await this.#renew(holding === 'taken' ? 'taken' : 'forced-out')
    else if (holding === 'gone') await this.#restore(head)
    else if (holding !== 'held') await this.#renew(holding)
    return head
  }

  /** The row vanished, by expiry or by hand, and this node is here: it has missed nothing, and no one need purge. */
  async #restore(head: Stamp): Promise<void> {
    const { registry, logger, clock, held, applied, fate } = this.#parts
    const { identity, life } = this.#claim
    // The log has lost its tail, and the registration with it: in what it grows to, this life would be another's.
    if (life > head.position) return this.#renew('forced-out')
    // Before the row went the life may have been over, which the others know.
    if (applied() < head.position) return this.hurry()
    const end = fate(this.#claim, this.#stoodAt)
    if (end !== 'stands') return this.#renew(end === 'unknown' ? 'forced-out' : end)
    const sentAt = momentOf(clock)
    if (!(await registry.restore(identity, life))) return this.#renew('taken')
    held(this.#claim, sentAt)
    logger.warn('the row of this node was gone and is put back', { life })
  }

  async #renew(why: 'taken' | 'forced-out'): Promise<void> {
    const { logger, renew, clock, held } = this.#parts
    const before = this.#claim
    const sentAt = momentOf(clock)
    this.#expired = false
    try {
      this.#claim = await renew(before, why)
    } catch (error) {
      this.#expired = true
      throw error
    }
    held(this.#claim, sentAt)
    const { identity, life } = this.#claim
    this.#stoodAt = life
    logger.warn('this life of the node was over; it has registered anew', { why, name: identity.name, life })
  }
}
