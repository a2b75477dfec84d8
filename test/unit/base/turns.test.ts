import { expect } from 'chai'
import { Turns } from '../../../src/base/turns.ts'

describe('turns', () => {
  it('let so many at once, and the others in the order in which they came', async () => {
    const turns = new Turns(2)
    const began: number[] = []
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<number>())
    const done = gates.map(({ promise }, i) =>
      turns.take(() => {
        began.push(i)
        return promise
      }),
    )
    expect([began, turns.waiting]).deep.equal([[0, 1], 3])
    gates[1]?.resolve(1)
    await done[1]
    expect([began, turns.waiting]).deep.equal([[0, 1, 2], 2])
    for (const [i, { resolve }] of gates.entries()) resolve(i)
    expect(await Promise.all(done)).deep.equal([0, 1, 2, 3, 4])
    expect([began, turns.waiting]).deep.equal([[0, 1, 2, 3, 4], 0])
  })

  it('go on after work that failed, at once or later', async () => {
    const turns = new Turns(1)
    const failed = turns.take(async () => {
      throw new Error('no')
    })
    const next = turns.take(async () => 'yes')
    expect(await failed.catch(({ message }) => message)).equal('no')
    expect(await next).equal('yes')
    expect(await turns.take(async () => 'again')).equal('again')
  })
})
