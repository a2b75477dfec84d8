import { setImmediate as turnOver } from 'node:timers/promises'
import { expect } from 'chai'
import { WriteBatch } from '../../../src/base/write-batch.ts'

describe('a batch of writes', () => {
  const flushed: string[] = []
  const named = (name: string) => ({ flush: () => void flushed.push(name) })
  afterEach(() => void flushed.splice(0))

  it('is written in order when the turn is over, and not before', async () => {
    const batch = new WriteBatch()
    batch.add(named('a'))
    await Promise.resolve()
    batch.add(named('b'))
    expect(flushed).deep.equal([])
    await turnOver()
    expect(flushed).deep.equal(['a', 'b'])
  })

  it('leaves what is added while it is written to the next turn', async () => {
    const batch = new WriteBatch()
    batch.add({
      flush: () => {
        flushed.push('first')
        batch.add(named('later'))
      },
    })
    await turnOver()
    expect(flushed).deep.equal(['first'])
    await turnOver()
    expect(flushed).deep.equal(['first', 'later'])
  })
})
