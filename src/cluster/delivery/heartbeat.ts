// One node's claim on its name: every so often it says that it is there, and learns whether the name is its own
// still. Its reads of the head are those that find what no push and no notification told.
import type { Clock } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Position, Stamp } from '../../base/stamp.ts'
import type { NodeIdentity, Registry } from '../membership/registry.ts'

/** A registration that is in force. */
export interface Claim {
  readonly identity: NodeIdentity
  readonly life: Position
}

export interface HeartbeatParts {
  readonly registry: Registry
  /** Reads the head alone, when nothing need be written. */
  readonly log: { head(): Promise<Stamp> }
  /** Up to where this node has applied the log. */
  readonly applied: () => Position
  readonly clock: Clock
  readonly logger: Logger
  /** Registers anew: the life is over, since somebody made the node leave, or has its name. */
  readonly renew: (claim: Claim, why: 'taken' | 'forced-out') => Promise<Claim>
}

/**
 * Between two writes of the row. It bounds how long after a crash a row seems fresh, and how old the applied position
 * in it may be; each write is one small update per node without waiting for the disk.
 */
const writeIntervalMs = 10_000

export class Heartbeat {
  readonly #parts: HeartbeatParts
  #claim: Claim
  #nextWriteMs = Number.NEGATIVE_INFINITY
  #expired = false

  constructor(parts: HeartbeatParts, claim: Claim) {
    this.#parts = parts
    this.#claim = claim
  }

  get claim(): Claim {
    return this.#claim
  }

  /** The head of the log, from the primary; with it, when it is time, the heartbeat. @throws {DatastoreAway} */
  async head(): Promise<Stamp> {
    const { clock, log, logger } = this.#parts
    if (clock.monotonic() < this.#nextWriteMs) return log.head()
    // Before it is sent: what asks for the next one meanwhile is not to be put off.
    this.#nextWriteMs = clock.monotonic() + writeIntervalMs
    try {
      return await this.#beat()
    } catch (error) {
      this.hurry()
      if (codeOf(error) === 'datastore-away') throw error
      // A datastore that takes no writes can still be read.
      logger.warn('the heartbeat could not be written', { error })
      return log.head()
    }
  }

  /** Writes, and claims again what was lost. */
  async #beat(): Promise<Stamp> {
    const { registry, applied } = this.#parts
    const { identity, life } = this.#claim
    const { head, holding } = await registry.beat(identity.name, life, Math.max(applied(), 0))
    if (this.#expired) await this.#renew(holding === 'taken' ? 'taken' : 'forced-out')
    else if (holding === 'gone') await this.#restore()
    else if (holding !== 'held') await this.#renew(holding)
    return head
  }

  /** Writes with the next read of the head: the life may be over. */
  hurry(): void {
    this.#nextWriteMs = Number.NEGATIVE_INFINITY
  }

  /** The others take the life for ended, whatever the row says: the next read of the head begins a new one. */
  expire(): void {
    this.#expired = true
    this.hurry()
  }

  /** The row vanished, by expiry or by hand, and this node is here: it has missed nothing, and no one need purge. */
  async #restore(): Promise<void> {
    const { registry, logger } = this.#parts
    const { identity, life } = this.#claim
    if (!(await registry.restore(identity, life))) return this.#renew('taken')
    logger.warn('the row of this node was gone and is put back', { life })
  }

  async #renew(why: 'taken' | 'forced-out'): Promise<void> {
    const { logger, renew } = this.#parts
    const before = this.#claim
    this.#expired = false
    try {
      this.#claim = await renew(before, why)
    } catch (error) {
      this.#expired = true
      throw error
    }
    const { identity, life } = this.#claim
    logger.warn('this life of the node was over; it has registered anew', { why, name: identity.name, life })
  }
}
