import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { readKeys } from '../../../commands/keyboard.ts'

describe('the keyboard', () => {
  it('tells each key, and gives the terminal back as it was', async () => {
    const raw: boolean[] = []
    const terminal = Object.assign(new PassThrough(), { setRawMode: (on: boolean) => raw.push(on) })
    const keys: string[] = []
    const release = readKeys(terminal as unknown as NodeJS.ReadStream, (key) => keys.push(key))
    terminal.write('r')
    terminal.write('x\u0003')
    await new Promise((resolve) => setImmediate(resolve))
    expect(keys).to.deep.equal(['r', 'x', '\u0003'])
    expect(raw).to.deep.equal([true])
    release()
    expect(raw).to.deep.equal([true, false])
    expect(terminal.isPaused()).to.equal(true)
  })
})
