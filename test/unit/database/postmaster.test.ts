import { expect } from 'chai'
import { parsePostmaster } from '../../../src/database/postmaster.ts'

const lines = ['4711', '/data', '1700000000', '5433', '', '127.0.0.1', '  123456     65537', 'ready   ', '']

describe('postmaster.pid', () => {
  it('tells process, port and state of a server that is ready', () => {
    expect(parsePostmaster(lines.join('\n'))).to.deep.equal({ pid: 4711, port: 5433, state: 'ready' })
  })

  it('tells that a server is stopping', () => {
    const text = lines.with(7, 'stopping').join('\n')
    expect(parsePostmaster(text)).to.have.property('state', 'stopping')
  })

  it('is of a starting server as long as lines are missing', () => {
    const expected = { pid: 4711, port: 0, state: 'starting' }
    expect(parsePostmaster(lines.slice(0, 3).join('\n'))).to.deep.equal(expected)
  })

  it('is of no server when it is empty or has no process id', () => {
    for (const text of ['', '\n', 'x\n', '0\n', '-4711\n'])
      expect(parsePostmaster(text), text).to.equal(undefined)
  })
})
