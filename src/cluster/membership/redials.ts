// Whom to dial, and when again: every member that should have a connection and has none.
import { type BackoffOptions, backoffMs } from '../../base/backoff.ts'
import type { Random } from '../../base/random.ts'
import type { Profile } from './profile.ts'

interface Redial {
  attempt: number
  nextAt: number
}

export class Redials {
  readonly #profile: Profile
  readonly #random: Random
  readonly #backoff: BackoffOptions
  readonly #redials = new Map<string, Redial>()

  constructor(profile: Profile, random: Random) {
    this.#profile = profile
    this.#random = random
    this.#backoff = { firstMs: profile.redialFirstMs, mostMs: profile.redialMostMs }
  }

  /** It has no connection: to be dialled at once, unless it is being dialled already. */
  want(name: string, now: number): void {
    if (!this.#redials.has(name)) this.#redials.set(name, { attempt: 0, nextAt: now })
  }

  /** To be dialled now, whatever was planned: somebody needs to know. */
  hurry(name: string, now: number): void {
    this.#redials.set(name, { attempt: this.#redials.get(name)?.attempt ?? 0, nextAt: now })
  }

  /** A dial brought no connection: the next one waits longer. */
  missed(name: string, now: number): void {
    const attempt = this.#redials.get(name)?.attempt ?? 0
    const nextAt = now + backoffMs(attempt, this.#backoff, this.#random)
    this.#redials.set(name, { attempt: attempt + 1, nextAt })
  }

  /** It is connected, or is not to be. */
  drop(name: string): void {
    this.#redials.delete(name)
  }

  /** Whom to dial now. Each is named again only after its dial missed, or nothing was reported for dialLimitMs. */
  due(now: number): string[] {
    const due: string[] = []
    for (const [name, redial] of this.#redials) {
      if (redial.nextAt > now) continue
      due.push(name)
      redial.nextAt = now + this.#profile.dialLimitMs
    }
    return due
  }

  nextDueAt(): number {
    let due = Number.POSITIVE_INFINITY
    for (const { nextAt } of this.#redials.values()) due = Math.min(due, nextAt)
    return due
  }
}
