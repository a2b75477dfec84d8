// What happened, in words, and a hash of it: two runs of one plan say the same.
import type { Scheduler } from './scheduler.ts'

/** What is kept of it: putting what happens into words takes time, and of most seeds nobody asks. */
export type Kept = 'nothing' | 'hash' | 'lines'

export class Trace {
  readonly lines: string[] = []
  readonly #scheduler: Scheduler
  readonly #kept: Kept
  #one = 0x811c9dc5
  #two = 0x9e3779b9

  constructor(scheduler: Scheduler, kept: Kept) {
    this.#scheduler = scheduler
    this.#kept = kept
  }

  say(who: string, what: string, fields?: object): void {
    if (this.#kept === 'nothing') return
    const at = this.#scheduler.now.toFixed(3).padStart(10)
    const line = `${at}  ${who.padEnd(9)} ${what}${fields ? ` ${JSON.stringify(fields)}` : ''}`
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i)
      this.#one = Math.imul(this.#one ^ code, 0x01000193)
      this.#two = Math.imul(this.#two ^ code, 0x85ebca6b)
    }
    if (this.#kept === 'lines') this.lines.push(line)
  }

  /** Of all lines, whether they are kept or not, but for a trace of nothing. */
  get hash(): string {
    return [this.#one, this.#two].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('')
  }
}
