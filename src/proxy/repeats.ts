// Says the same thing once in a while, however often it happens: a plugin that fails on every request must not
// fill the disk with its log.
import type { Clock } from '../base/clock.ts'

export class Repeats {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #said = new Map<string, { at: number; kept: number }>()

  /** @param everyMs  the same subject is said once in this time; longer is quieter, and later to say it again */
  constructor(clock: Clock, everyMs = 10_000) {
    this.#clock = clock
    this.#everyMs = everyMs
  }

  /**
   * Calls `say` if `subject` was not said lately, with the number of times that it was kept back since.
   * Subjects are made of names of plugins, ids of APIs and codes of errors, so there are no more of them than rows.
   */
  say(subject: string, say: (keptBack: number) => void): void {
    const now = this.#clock.monotonic()
    const before = this.#said.get(subject)
    if (before && now - before.at < this.#everyMs) {
      before.kept++
      return
    }
    this.#said.set(subject, { at: now, kept: 0 })
    say(before?.kept ?? 0)
  }
}
