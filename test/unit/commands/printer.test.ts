import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { Printer } from '../../../commands/printer.ts'

describe('what a command prints', () => {
  function printed(write: (printer: Printer) => void, terminal = false): string {
    const stream = Object.assign(new PassThrough(), terminal ? { isTTY: true, getColorDepth: () => 8 } : {})
    write(new Printer(stream))
    return String(stream.read())
  }

  it('has its severity before it and remedies below it', () => {
    expect(printed((printer) => printer.line('error', 'it broke', ['mend it']))).to.equal(
      '[ERR] it broke\n      mend it\n',
    )
    expect(printed((printer) => printer.line('ok', 'Started'))).to.equal('[OK] Started\n')
  })

  it('has no colours where nobody sees them', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
    expect(printed((printer) => printer.line('warn', 'careful'))).not.to.match(/\u001b/)
  })
})
