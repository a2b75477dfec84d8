// Since when this node may be missing something. Only a read of the primary shows that nothing is: fresh as of the time
// at which it was sent, once what it answered is applied. Others hand on what they know, by its age.
import { ageMs, type Clock, later, type Moment } from '../../base/clock.ts'
import type { Deadline } from '../../base/deadline.ts'
import type { Position, Stamp } from '../../base/stamp.ts'

export interface FreshnessParts {
  readonly applied: () => Stamp
  /** The digest at the end of a transaction that was applied not long ago. */
  readonly digestAt: (position: Position) => string | undefined
  readonly clock: Clock
}

export interface FreshnessBound {
  /** For how long a node counts as fresh, in ms. */
  readonly maxStalenessMs: number
  /** What the workers look at: they answer nothing once it has passed. */
  readonly deadline: Deadline
}

/** Heads that are not applied yet; they come from reads a second apart, so the newest few say as much as all. */
const pendingMax = 8

export class Freshness {
  readonly #parts: FreshnessParts
  readonly #bound: FreshnessBound | undefined
  /** Fresh as of this. */
  #asOf: Moment | undefined
  /** While the registration stands: whose row has expired is waited for by nobody. */
  #lease: Moment | undefined
  /** Heads above what is applied, and since when a node that has applied them is fresh. */
  readonly #pending = new Map<Position, { readonly digest: string; readonly asOf: Moment }>()

  constructor(parts: FreshnessParts, bound?: FreshnessBound) {
    this.#parts = parts
    this.#bound = bound
  }

  /** Milliseconds since this node last was certain to miss nothing; undefined if it never was, in this life. */
  get ageMs(): number | undefined {
    return this.#asOf && ageMs(this.#parts.clock, this.#asOf)
  }

  /**
   * Nothing but what is up to `stamp` had happened at `asOf`, as the primary said, or another node that knew.
   * Of another history than this node's, it says nothing.
   */
  note(stamp: Stamp, asOf: Moment): void {
    if (stamp.position > this.#parts.applied().position) {
      this.#pending.set(stamp.position, { digest: stamp.digest, asOf })
      if (this.#pending.size > pendingMax) this.#pending.delete(this.#pending.keys().next().value as Position)
    } else if (this.#parts.digestAt(stamp.position) === stamp.digest) this.#advance(asOf)
  }

  /** The log is applied up to `stamp`, the end of a transaction. */
  applied({ position, digest }: Stamp): void {
    for (const [awaited, pending] of this.#pending) {
      if (awaited > position) continue
      this.#pending.delete(awaited)
      if (awaited === position && pending.digest === digest) this.#advance(pending.asOf)
    }
  }

  /** Another history: what was known of the one before says nothing. */
  forget(): void {
    this.#pending.clear()
    this.#asOf = undefined
    this.#publish()
  }

  /** The registration stands until `until`, whatever happens. Undefined: it is over, and nothing is served under it. */
  lease(until: Moment | undefined): void {
    this.#lease = until
    this.#publish()
  }

  #advance(asOf: Moment): void {
    if (this.#asOf && this.#asOf.monotonic >= asOf.monotonic) return
    this.#asOf = asOf
    this.#publish()
  }

  #publish(): void {
    if (!this.#bound) return
    const { maxStalenessMs, deadline } = this.#bound
    const [asOf, lease] = [this.#asOf, this.#lease]
    if (!asOf || !lease) {
      deadline.clear()
      return
    }
    const until = later(asOf, maxStalenessMs)
    deadline.set({
      monotonic: Math.min(until.monotonic, lease.monotonic),
      wall: Math.min(until.wall, lease.wall),
    })
  }
}
