import { expect } from 'chai'
import { brokenLinks, reachLines } from '../../../../commands/cluster/reach-matrix.ts'
import type { Reach } from '../../../../src/control/control.ts'

const paint = (_: unknown, text: string) => text
const node = (name: string, links: Reach['links']): Reach => ({ name, address: `${name}:7946`, links })

describe('what nodes reach', () => {
  const three = [
    node('a', [
      { to: 'b', roundTripMs: 0.42 },
      { to: 'c', roundTripMs: null, error: 'no connection to it' },
    ]),
    // In whatever order they come.
    node('b', [
      { to: 'c', roundTripMs: 12 },
      { to: 'a', roundTripMs: 1.5 },
    ]),
    node('c', [
      { to: 'a', roundTripMs: null },
      { to: 'b', roundTripMs: 2 },
    ]),
  ]

  it('is a matrix whose numbers are explained', () => {
    expect(reachLines(three, paint)).to.deep.equal([
      'node  name  address',
      '   1  a     a:7946',
      '   2  b     b:7946',
      '   3  c     c:7946',
      '',
      'from    to 1    to 2   to 3',
      '   1       ·  0.4 ms  fails',
      '   2  1.5 ms       ·  12 ms',
      '   3   fails  2.0 ms      ·',
    ])
  })

  it('names each direction that fails, with the reason', () => {
    expect(brokenLinks(three)).to.deep.equal([
      { from: 'a', to: 'c', why: 'no connection to it' },
      { from: 'c', to: 'a', why: 'it does not answer' },
    ])
  })

  it('is a line for each node where there are many', () => {
    const names = Array.from({ length: 12 }, (_, i) => `n${i}`)
    const many = names.map((name, i) => {
      const others = names.filter((other) => other !== name)
      return node(
        name,
        others.map((to, j) => ({ to, roundTripMs: i === 0 && j === 0 ? null : j + 1 })),
      )
    })
    const lines = reachLines(many, paint)
    expect(lines).to.have.length(13)
    expect(lines.slice(0, 3)).to.deep.equal([
      'name  address    reaches  median  slowest',
      'n0    n0:7946   10 of 11  7.0 ms    11 ms',
      'n1    n1:7946   11 of 11  6.0 ms    11 ms',
    ])
    expect(brokenLinks(many)).to.have.length(1)
  })
})
