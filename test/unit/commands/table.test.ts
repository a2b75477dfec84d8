import { styleText } from 'node:util'
import { expect } from 'chai'
import { agoCell, countCell, statusCell, tookCell } from '../../../commands/cells.ts'
import { tableLines } from '../../../commands/table.ts'

describe('a table', () => {
  const columns = [{ title: 'name' }, { title: 'lag', align: 'right' as const }, { title: 'seen' }]

  it('has columns as wide as what they hold, numbers under each other, and no blanks at its ends', () => {
    const rows = [
      ['gw-1', '7', 'now'],
      ['gateway-2', '1200', '3 s ago'],
    ]
    expect(tableLines(columns, rows, { heading: true })).to.deep.equal([
      'name        lag  seen',
      'gw-1          7  now',
      'gateway-2  1200  3 s ago',
    ])
    expect(tableLines(columns, rows, { heading: false })[0]).to.equal('gw-1          7  now')
    expect(tableLines(columns, [], { heading: false })).to.deep.equal([])
  })

  it('gives colours no room', () => {
    const red = styleText('red', 'gw', { validateStream: false })
    const lines = tableLines(columns, [[red, '1', 'now']], { heading: true })
    expect(lines).to.deep.equal(['name  lag  seen', `${red}      1  now`])
  })
})

describe('a cell', () => {
  it('says how long something took in three digits at the most', () => {
    const shown = [
      0, 0.44, 9.94, 9.96, 99.4, 999.4, 999.6, 9949, 9951, 119_999, 120_000, 7_199_999, 7_200_000,
    ]
    expect(shown.map(tookCell)).to.deep.equal([
      ...['0.0 ms', '0.4 ms', '9.9 ms', '10 ms', '99 ms', '999 ms', '1.0 s', '9.9 s', '9 s'],
      ...['119 s', '2 min', '119 min', '2 h'],
    ])
  })

  it('says how long ago something was', () => {
    expect([999, 1000, 3999, 120_000, 7_200_000].map(agoCell)).to.deep.equal([
      ...['now', '1 s ago', '3 s ago', '2 min ago', '2 h ago'],
    ])
  })

  it('is never empty', () => {
    for (const unknown of [null, undefined])
      expect([countCell(unknown), tookCell(unknown), agoCell(unknown)]).to.deep.equal(['-', '-', '-'])
    expect(countCell(0)).to.equal('0')
  })

  it('colours the states that it knows, and passes on others', () => {
    const paint = (style: unknown, text: string) => `${style}:${text}`
    expect(statusCell('failed', paint)).to.equal('red:failed')
    expect(statusCell('new', paint)).to.equal('new')
  })
})
