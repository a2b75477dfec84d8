// What logging plugins could not get rid of: counted, and told to the node's log now and then.
import type { Clock } from '../base/clock.ts'
import type { LogFields, Logger } from '../base/logger.ts'
import { Throttle } from '../base/throttle.ts'

/** How often it is said; more often fills the log while a disk is full or a receiver is away. */
const sayEveryMs = 10_000

export interface LostRecordsHost {
  readonly clock: Clock
  readonly logger: Logger
}

export class LostRecords {
  readonly #logger: Logger
  readonly #sentence: string
  readonly #fields: LogFields
  readonly #throttle: Throttle
  #count = 0
  #error: unknown

  /** @param fields  of each line: what the records were for */
  constructor({ clock, logger }: LostRecordsHost, sentence: string, fields: LogFields) {
    this.#logger = logger
    this.#sentence = sentence
    this.#fields = fields
    this.#throttle = new Throttle(clock, sayEveryMs, () => this.say())
  }

  /** @param error  why; undefined when there was no more room */
  add(count: number, error?: unknown): void {
    this.#count += count
    this.#error = error ?? this.#error
    this.#throttle.call()
  }

  /** Says what has not been said yet. */
  say(): void {
    if (this.#count === 0) return
    const fields = { ...this.#fields, dropped: this.#count }
    this.#logger.error(this.#sentence, this.#error === undefined ? fields : { ...fields, error: this.#error })
    this.#count = 0
    this.#error = undefined
  }
}
