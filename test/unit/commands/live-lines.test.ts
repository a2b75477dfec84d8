import { expect } from 'chai'
import { LiveLines } from '../../../commands/live-lines.ts'

/** A terminal as far as lines need one: it knows newline, carriage return, "up" and "erase below". */
class Screen {
  readonly columns: number
  readonly rows: number
  readonly #cells: string[] = ['']
  #row = 0

  constructor(size: { columns: number; rows: number }) {
    this.columns = size.columns
    this.rows = size.rows
  }

  get text(): string {
    return this.#cells.join('\n')
  }

  write(text: string): boolean {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
    for (const [part, up] of text.matchAll(/\u001b\[(\d+)A|\u001b\[J|[\s\S]/g)) {
      if (up !== undefined) this.#row = Math.max(0, this.#row - Number(up))
      else if (part === '\u001b[J') this.#cells.splice(this.#row, Infinity, '')
      else if (part === '\n') this.#advance()
      else if (part !== '\r') this.#put(part)
    }
    return true
  }

  #put(character: string): void {
    if (this.columns > 0 && this.#cells[this.#row]?.length === this.columns) this.#advance()
    this.#cells[this.#row] += character
  }

  #advance(): void {
    this.#row++
    this.#cells[this.#row] ??= ''
  }
}

describe('live lines', () => {
  function on(size: { columns: number; rows: number }) {
    const screen = new Screen(size)
    return { screen, lines: new LiveLines(screen as unknown as NodeJS.WriteStream) }
  }

  it('take the place of those before, fewer or more', () => {
    const { screen, lines } = on({ columns: 40, rows: 10 })
    screen.write('before\n')
    lines.show(['one', 'two'])
    lines.show(['uno'])
    lines.show(['un', 'deux', 'trois'])
    expect(screen.text).to.equal('before\nun\ndeux\ntrois\n')
  })

  it('stay below what is printed', () => {
    const { screen, lines } = on({ columns: 40, rows: 10 })
    lines.show(['one', 'two'])
    lines.print('news')
    lines.print('more')
    expect(screen.text).to.equal('news\nmore\none\ntwo\n')
  })

  it('are taken back whole where they are longer than the terminal is wide', () => {
    const { screen, lines } = on({ columns: 4, rows: 10 })
    lines.show(['abcdefgh', 'ij'])
    expect(screen.text).to.equal('abcd\nefgh\nij\n')
    lines.show(['kl'])
    expect(screen.text).to.equal('kl\n')
  })

  it('are counted where the terminal is not high enough', () => {
    const { screen, lines } = on({ columns: 40, rows: 4 })
    lines.show(['a', 'b', 'c', 'd', 'e'])
    expect(screen.text).to.equal('a\nb\n… and 3 more\n')
    lines.show(['a', 'b', 'c'])
    expect(screen.text).to.equal('a\nb\nc\n')
  })

  it('fit on a terminal that does not know its size', () => {
    const { screen, lines } = on({ columns: 0, rows: 0 })
    lines.show(['one', 'two'])
    lines.print('news')
    expect(screen.text).to.equal('news\none\ntwo\n')
  })
})
