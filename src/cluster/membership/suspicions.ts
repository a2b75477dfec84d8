// Who is suspected, by whom, and until when each may refute.
import { expectedConfirmations, type Profile, suspicionTimeoutMs } from './profile.ts'

interface Suspicion {
  /** Moved on by the node's own pauses: time in which it could not have heard the refutation. */
  startedAt: number
  readonly accusers: Set<string>
}

export class Suspicions {
  readonly #profile: Profile
  readonly #suspicions = new Map<string, Suspicion>()

  constructor(profile: Profile) {
    this.#profile = profile
  }

  has(name: string): boolean {
    return this.#suspicions.has(name)
  }

  /** Whether `by` accuses it already, or so many do that one more changes nothing. */
  isEnough(name: string, by: string, members: number): boolean {
    const accusers = this.#suspicions.get(name)?.accusers
    if (accusers === undefined) return false
    return accusers.has(by) || accusers.size > expectedConfirmations(this.#profile, members)
  }

  accuse(name: string, by: string, now: number): void {
    const suspicion = this.#suspicions.get(name)
    if (suspicion) suspicion.accusers.add(by)
    else this.#suspicions.set(name, { startedAt: now, accusers: new Set([by]) })
  }

  clear(name: string): void {
    this.#suspicions.delete(name)
  }

  postpone(byMs: number): void {
    for (const suspicion of this.#suspicions.values()) suspicion.startedAt += byMs
  }

  /** Those whose time to refute is over. */
  due(now: number, members: number, stretch: number): string[] {
    return [...this.#suspicions]
      .filter(([, suspicion]) => this.#deadline(suspicion, members, stretch) <= now)
      .map(([name]) => name)
  }

  nextDueAt(members: number, stretch: number): number {
    const deadlines = [...this.#suspicions.values()].map((one) => this.#deadline(one, members, stretch))
    return Math.min(Number.POSITIVE_INFINITY, ...deadlines)
  }

  #deadline({ startedAt, accusers }: Suspicion, members: number, stretch: number): number {
    return startedAt + suspicionTimeoutMs(this.#profile, members, accusers.size - 1) * stretch
  }
}
