// The nodes that the datastore knows: who is to be joined, whose acknowledgement counts, and who holds a name.
import type { Position, Stamp } from '../../base/stamp.ts'

/** What a node says of itself when it registers. */
export interface NodeIdentity {
  readonly name: string
  /** `ip:port` that other nodes reach it at. */
  readonly address: string
  /** Of Troop. */
  readonly version: string
  /** How long its row outlives its last heartbeat, in seconds, at least 60. */
  readonly ttlSeconds: number
  /** How long it serves after it last knew that it had everything; null when it has no such bound. */
  readonly refusesAfterMs: number | null
}

/** A registration that is in force. */
export interface Claim {
  readonly identity: NodeIdentity
  readonly life: Position
}

/** One row. */
export interface RegisteredNode {
  readonly name: string
  readonly address: string
  readonly status: 'alive' | 'leaving' | 'left'
  /** It left by somebody else's hand: it may be running still. */
  readonly forced: boolean
  readonly life: Position
  /** What it had applied at its last heartbeat; null before the first. */
  readonly applied: Position | null
  /** Milliseconds since its last heartbeat, by the database's clock. */
  readonly silentMs: number
  /** Whether that is more than its time to live. */
  readonly expired: boolean
  readonly version: string
  /** As in `NodeIdentity`. */
  readonly refusesAfterMs: number | null
  /** Milliseconds since 1970, of its first registration. */
  readonly createdAt: number
}

/** What a heartbeat found besides the head of the log. */
export type Holding =
  | 'held'
  /** The row is gone: it expired, or somebody removed it. */
  | 'gone'
  /** The row is of another life: another process has the name. */
  | 'taken'
  /** Somebody made this node leave. */
  | 'forced-out'

export interface Beat {
  readonly head: Stamp
  readonly holding: Holding
  /** Milliseconds since 1970 by the database's clock. */
  readonly now: number
}

/** All throw {DatastoreAway} or {DatastoreError}; what writes events may throw {OutcomeUnknown}. */
export interface Registry {
  /** The row under that name. */
  find(name: string): Promise<RegisteredNode | undefined>
  /**
   * Begins a new life under the name; the event is a join.
   * @param replaced  the life that is known to stand under the name, over or given up; undefined for none
   * @returns         the life, or undefined when another one stands there: nothing was changed
   */
  register(node: NodeIdentity, replaced: Position | undefined): Promise<Position | undefined>
  /**
   * Makes every node prove what it holds, as a join does: this one was away. Nothing happens when its life is over, or
   * when that was recorded less than `intervalMs` ago, by whoever noticed it too.
   */
  rejoin(name: string, life: Position, intervalMs: number): Promise<void>
  /** Puts back a row that is gone, in its old life: no join. False when somebody has the name meanwhile. */
  restore(node: NodeIdentity, life: Position): Promise<boolean>
  /** Writes that the node is there and what it has applied; reads the head of the log in the same statement. */
  beat(name: string, life: Position, applied: Position): Promise<Beat>
  /** The node itself announces its leave, then that it is gone. Nothing happens when its life is over. */
  leave(name: string, life: Position, status: 'leaving' | 'left'): Promise<void>
  /**
   * The cluster's id, from the genesis of its log, and its secret: `offered` if it has none yet. The right to join is
   * the right to read the datastore.
   */
  credentials(offered: string): Promise<{ readonly id: string; readonly secret: string }>
  /** False when there is no such node. */
  forceLeave(name: string): Promise<boolean>
  /** All rows, newest registration first. */
  rows(): Promise<readonly RegisteredNode[]>
  /** Takes away those of `names` whose rows are expired still. */
  removeExpired(names: readonly string[]): Promise<void>
}
