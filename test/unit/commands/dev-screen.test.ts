import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { devScreen, type NodeView } from '../../../commands/dev-screen.ts'

const view = (number: number, given: Partial<NodeView> = {}): NodeView => ({
  ...{ number, proxy: `http://127.0.0.1:80${number}0`, admin: `http://127.0.0.1:80${number}1`, pid: 100 },
  ...{ status: 'alive', applied: 7, lag: 0, change: undefined },
  ...given,
})
const gone = { pid: undefined, status: undefined, applied: null, lag: null }
const change = { agoMs: 3200, path: 'push', tookMs: 2.71 }

function screenOn(given: object) {
  const stream = Object.assign(new PassThrough(), given)
  const screen = devScreen(stream as unknown as NodeJS.WriteStream)
  return { screen, written: () => String(stream.read() ?? '') }
}

describe('the screen of a local cluster', () => {
  it('is a table on a terminal, below what is printed, no wider than 80 columns', () => {
    const { screen, written } = screenOn({ isTTY: true, columns: 80, rows: 24, getColorDepth: () => 1 })
    screen.show([view(1, { change }), view(2, gone)])
    const lines = written().split('\n')
    expect(lines).to.deep.equal([
      '',
      'node  proxy  admin  process  status  applied  lag  last change  came by',
      '1     :8010  :8011  100      alive         7    0  3 s ago      push 2.7 ms',
      '2     :8020  :8021  -        -             -    -  -            -',
      '',
    ])
    screen.print('news')
    expect(written()).to.match(/Jnews\n\nnode /)
    screen.show([])
    expect(written()).to.match(/J$/)
  })

  it('is a line for each node that changes where there is no terminal', () => {
    const { screen, written } = screenOn({ isTTY: false })
    screen.show([view(1), view(2)])
    expect(written()).to.equal(
      'node 1: alive, process 100, applied 7, lag 0\nnode 2: alive, process 100, applied 7, lag 0\n',
    )
    screen.show([view(1), view(2, { applied: 8, change })])
    expect(written()).to.equal('node 2: alive, process 100, applied 8, lag 0, push 2.7 ms\n')
    screen.show([view(1), view(2, { applied: 8, change: { ...change, agoMs: 9000 } })])
    expect(written()).to.equal('')
    screen.show([view(1), view(2, gone)])
    expect(written()).to.equal('node 2: not known, no process, applied -, lag -\n')
    screen.show([])
    expect(written()).to.equal('')
  })
})
