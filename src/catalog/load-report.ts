// Says now and then how far a load has come, where it takes long.
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'

/** Most loads are done before the first line. */
const lineGapMs = 2000

export class LoadReport {
  readonly #clock: Clock
  readonly #write: (loaded: number) => void
  #lastMs: number

  constructor(clock: Clock, logger: Logger, sentence: string) {
    this.#clock = clock
    this.#write = (loaded) => logger.info(sentence, { loaded })
    this.#lastMs = clock.monotonic()
  }

  /** So many rows or keys are loaded. */
  tell(loaded: number): void {
    const now = this.#clock.monotonic()
    if (now - this.#lastMs < lineGapMs) return
    this.#lastMs = now
    this.#write(loaded)
  }
}
