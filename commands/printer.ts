// What a person at the terminal reads: one line per fact, with a prefix that says how serious it is.
import { styleText } from 'node:util'

const prefixes = {
  info: ['[INFO]', 'blue'],
  ok: ['[OK]', 'green'],
  warn: ['[WARN]', 'yellow'],
  error: ['[ERR]', 'red'],
} as const

export type Severity = keyof typeof prefixes

export class Printer {
  readonly #stream: NodeJS.WritableStream

  /** @param stream  coloured if it is a terminal and NO_COLOR is not set (https://no-color.org) */
  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream
  }

  /** @param remedies  what to do about it, each on a line of its own */
  line(severity: Severity, text: string, remedies: readonly string[] = []): void {
    const [prefix, colour] = prefixes[severity]
    const styled = styleText(colour, prefix, { stream: this.#stream as NodeJS.WriteStream })
    const indent = ' '.repeat(prefix.length + 1)
    this.#stream.write([`${styled} ${text}`, ...remedies.map((remedy) => indent + remedy), ''].join('\n'))
  }

  /** As it is, without a prefix. */
  plain(text: string): void {
    this.#stream.write(`${text}\n`)
  }
}
