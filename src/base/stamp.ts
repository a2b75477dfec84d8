// Places in the log: what every read, entry and acknowledgement is labelled with (docs/architecture.md).

/** An event's place in the log: 1, 2, 3 … without holes, in commit order; 0 is the genesis event. */
export type Position = number

/** A position and the digest of the log up to it: one value names a whole history. */
export interface Stamp {
  readonly position: Position
  /** SHA-256 over the chain of events up to `position`, 64 lower-case hex digits. */
  readonly digest: string
}

/** What a read of the datastore found, with the head of the log in the same snapshot. */
export interface Stamped<T> {
  readonly value: T
  readonly stamp: Stamp
}
