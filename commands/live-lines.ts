// Lines at the end of a terminal that are replaced rather than repeated, with ordinary ones scrolling away above them.
import { shownWidth } from './table.ts'

export class LiveLines {
  readonly #terminal: NodeJS.WriteStream
  #shown: readonly string[] = []

  constructor(terminal: NodeJS.WriteStream) {
    this.#terminal = terminal
  }

  /** Shows these in place of those before. What does not fit on the screen is counted only: it could not be taken back. */
  show(lines: readonly string[]): void {
    this.#write([], lines)
  }

  /** Prints a line that stays. */
  print(line: string): void {
    this.#write([line], this.#shown)
  }

  #write(above: readonly string[], live: readonly string[]): void {
    const erased = this.#eraseShown()
    this.#shown = this.#fitting(live)
    this.#terminal.write(erased + [...above, ...this.#shown].map((line) => `${line}\n`).join(''))
  }

  /** Up to where the first of them begins, then everything from there on; see "CUU" and "ED" in ECMA-48. */
  #eraseShown(): string {
    const rows = this.#rowsOfAll(this.#shown)
    return rows === 0 ? '' : `\u001b[${rows}A\r\u001b[J`
  }

  #fitting(lines: readonly string[]): readonly string[] {
    // The cursor stands on a row of its own.
    const room = (this.#terminal.rows || usualSize.rows) - 1
    if (this.#rowsOfAll(lines) <= room) return lines
    let kept = lines.length
    while (kept > 0 && this.#rowsOfAll(lines.slice(0, kept)) + 1 > room) kept--
    return [...lines.slice(0, kept), `… and ${lines.length - kept} more`]
  }

  #rowsOfAll(lines: readonly string[]): number {
    return lines.reduce((sum, line) => sum + this.#rowsOf(line), 0)
  }

  /** A line that is longer than the terminal is wide goes on in the next row. */
  #rowsOf(line: string): number {
    return Math.max(1, Math.ceil(shownWidth(line) / (this.#terminal.columns || usualSize.columns)))
  }
}

/** Of a terminal that does not know its size. */
const usualSize = { rows: 24, columns: 80 }
