// What clients did and saw while something was broken. The datastore's log says what really happened.

/** What a client was told of its write. */
export type Outcome =
  /** Done, and every registered node has it. */
  | 'complete'
  /** Done; some may not have it, and are named. */
  | 'incomplete'
  /** An error that says that nothing happened. */
  | 'refused'
  /** No answer, or one that says that it can't tell. */
  | 'unknown'

/** A client gives a register a value that it has never had. */
export interface Write {
  readonly register: string
  readonly value: string
  /** Number of the node that was asked. */
  readonly node: number
  readonly sentAt: number
  readonly endedAt: number
  readonly outcome: Outcome
  /** Nodes that the answer named. */
  readonly lagging: readonly number[]
}

/** What a proxied request showed of a register. */
export interface Answer {
  readonly register: string
  readonly node: number
  readonly sentAt: number
  readonly endedAt: number
  /** The HTTP status, or what broke instead. */
  readonly status: number | string
  /** The body of any status but 200. */
  readonly why?: string | undefined
  /** The value that is in force, if the answer tells. */
  readonly shown?: string | undefined
  /** A value that is not in force, if the answer tells. */
  readonly denied?: string | undefined
}

/** One event of a register, as the log has it. */
export interface Committed {
  readonly register: string
  readonly value: string
  readonly position: number
}

/** A node that something was done to, so that its clients may see it. */
export interface Affliction {
  readonly node: number
  readonly from: number
  to: number
}

export class History {
  readonly writes: Write[] = []
  readonly answers: Answer[] = []
  readonly afflictions: Affliction[] = []

  /** Whether something was done to the node that gave `answer`, while it was waited for. */
  isAfflicted({ node, sentAt, endedAt }: Answer): boolean {
    return this.afflictions.some((one) => one.node === node && one.from <= endedAt && sentAt <= one.to)
  }
}
