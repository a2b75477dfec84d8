// The field Date of answers, made once a second.
import type { Clock } from '../../base/clock.ts'

export class DateLine {
  readonly #clock: Clock
  #second = Number.NaN
  #text = ''

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** With the end of its line. */
  get text(): string {
    const second = Math.floor(this.#clock.now() / 1000)
    if (second === this.#second) return this.#text
    this.#second = second
    this.#text = `Date: ${new Date(second * 1000).toUTCString()}\r\n`
    return this.#text
  }
}
