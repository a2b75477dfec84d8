// The order of all writes, as a node reads it. The real form is postgres-event-log.ts; the simulated one lies
// in test/simulation.
import type { Stamp } from '../base/stamp.ts'
import type { LogEvent } from './event.ts'

/**
 * How a node came to know of an event: it wrote it itself, another node pushed it, the datastore notified it, a read of
 * the head found it, or another node was asked for it while the datastore was away.
 */
export const deliveryPaths = ['write', 'push', 'notify', 'pull', 'peer'] as const
export type DeliveryPath = (typeof deliveryPaths)[number]

/** What a pull brought. */
export type Page =
  /** Whole transactions in order, possibly none; `more` when the log goes on. `path` when it is not why it was pulled. */
  | {
      readonly kind: 'events'
      readonly events: readonly LogEvent[]
      readonly more: boolean
      readonly path?: DeliveryPath
    }
  /** The log does not hold the position any more (pruned), or the next transaction is too big: load anew. */
  | { readonly kind: 'jump'; readonly reason: 'pruned' | 'too-big' }
  /** The log has another digest at the position, or ends before it: another history, load anew. */
  | { readonly kind: 'other-history' }

export interface EventLog {
  /** Position and digest of the newest event, read from the primary. @throws {DatastoreAway} */
  head(): Promise<Stamp>
  /** What came after `applied`, at most a page but never part of a transaction. @throws {DatastoreAway} */
  read(applied: Stamp): Promise<Page>
  /** Whether these two places are both in the log, at one moment, read from the primary. @throws {DatastoreAway} */
  hasBoth(one: Stamp, other: Stamp): Promise<boolean>
}

/** Who follows the log: told every transaction, in order and once. */
export interface Subscriber {
  /** One transaction, applied in this very tick; after it returns nothing older is served. */
  apply(events: readonly LogEvent[], path: DeliveryPath): void
  /**
   * Forgets everything and loads anew: entries are deleted at once, projections read at the stamp that is
   * returned, and what is served from then on is at least that new.
   * @throws {DatastoreAway} when the load failed; it is tried again
   */
  load(reason: string): Promise<Stamp>
}
