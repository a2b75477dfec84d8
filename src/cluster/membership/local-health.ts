// How far a node may trust its own judgement: one that is late itself sees others as dead (Lifeguard).
import type { Profile } from './profile.ts'

export class LocalHealth {
  readonly #profile: Profile
  #score = 0
  /** Probes in a row to which there was no answer of any kind. */
  #silentProbes = 0
  #quietUntil = Number.NEGATIVE_INFINITY
  #lagSeenUntil = Number.NEGATIVE_INFINITY

  constructor(profile: Profile) {
    this.#profile = profile
  }

  /** What timeouts are multiplied by: 1 in good health, at most 1 + healthScoreMax. */
  get stretch(): number {
    return 1 + this.#score
  }

  /** Until when nobody is accused or judged: what arrived while the node stood still is read first. */
  get quietUntil(): number {
    return this.#quietUntil
  }

  /**
   * The event loop stood still for `lagMs` up to `now`.
   * @returns  how much of that was not known yet; 0 when it is tolerated. No deadline counts such time.
   */
  lagged(lagMs: number, now: number): number {
    if (lagMs <= this.#profile.lagToleratedMs) return 0
    const unknownMs = Math.max(0, Math.min(lagMs, now - this.#lagSeenUntil))
    this.#lagSeenUntil = now
    this.#worsen(Math.ceil(unknownMs / this.#profile.probeTimeoutMs))
    this.#quietUntil = Math.max(this.#quietUntil, now + this.#profile.probeTimeoutMs)
    return unknownMs
  }

  /** A probe was answered in time. */
  answered(): void {
    this.#silentProbes = 0
    this.#score = Math.max(0, this.#score - 1)
  }

  /** A probe was not, but a helper says that it gets no answer either: this node is heard. */
  confirmed(): void {
    this.#silentProbes = 0
  }

  /**
   * Nor did any helper say a word. Returns whether that is put down to this node itself: a
   * few times in a row, lest the last one alive blame itself for ever.
   */
  silent(): boolean {
    if (this.#silentProbes === this.#profile.silentProbesMax) return false
    this.#silentProbes++
    this.#worsen(1)
    return true
  }

  /** Somebody suspected this node: it must have been late. */
  suspected(): void {
    this.#worsen(1)
  }

  #worsen(by: number): void {
    this.#score = Math.min(this.#profile.healthScoreMax, this.#score + by)
  }
}
