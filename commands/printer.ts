// What a person at the terminal reads: one line per fact, with a prefix that says how serious it is.
import { styleText } from 'node:util'

const prefixes = {
  info: ['[INFO]', 'blue'],
  ok: ['[OK]', 'green'],
  warn: ['[WARN]', 'yellow'],
  error: ['[ERR]', 'red'],
} as const

export type Severity = keyof typeof prefixes

export type Paint = (style: Parameters<typeof styleText>[0], text: string) => string

/** Colours for what goes to `stream`: none if it is not a terminal or NO_COLOR is set (https://no-color.org). */
export function paintFor(stream: NodeJS.WritableStream): Paint {
  return (style, text) => styleText(style, text, { stream: stream as NodeJS.WriteStream })
}

export class Printer {
  readonly paint: Paint
  readonly #stream: NodeJS.WritableStream

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream
    this.paint = paintFor(stream)
  }

  /** @param remedies  what to do about it, each on a line of its own */
  line(severity: Severity, text: string, remedies: readonly string[] = []): void {
    const [prefix, colour] = prefixes[severity]
    const indent = ' '.repeat(prefix.length + 1)
    this.#stream.write(
      [`${this.paint(colour, prefix)} ${text}`, ...remedies.map((remedy) => indent + remedy), ''].join('\n'),
    )
  }

  /** As it is, without a prefix. */
  plain(text: string): void {
    this.#stream.write(`${text}\n`)
  }
}
