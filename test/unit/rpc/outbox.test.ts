import { Writable } from 'node:stream'
import { expect } from 'chai'
import { Outbox } from '../../../src/rpc/outbox.ts'

/** A stream that takes one write at a time, when the test says so. */
function slowStream() {
  const written: string[] = []
  let take: (() => void) | undefined
  const stream = new Writable({
    highWaterMark: 10,
    write(chunk: Buffer, _, done) {
      written.push(chunk.toString())
      take = done
    },
  })
  return {
    stream,
    written,
    async takeAll() {
      for (let next = take; next; next = take) {
        take = undefined
        next()
        await new Promise(setImmediate)
      }
    },
  }
}

describe('an outbox', () => {
  it('sends what is urgent before all that waits, and the rest in its order', async () => {
    const { stream, written, takeAll } = slowStream()
    const outbox = new Outbox(stream, 1000)
    for (const text of ['first, long', 'second, long', 'third, long']) outbox.send(Buffer.from(text), false)
    outbox.send(Buffer.from('urgent 1'), true)
    outbox.send(Buffer.from('urgent 2'), true)
    await takeAll()
    expect(written).to.deep.equal(['first, long', 'urgent 1', 'urgent 2', 'second, long', 'third, long'])
  })

  it('holds as much as its bound in each lane, and takes again what has room', async () => {
    const { stream, written, takeAll } = slowStream()
    const outbox = new Outbox(stream, 100)
    const sent = (urgent: boolean) => Array.from({ length: 5 }, () => outbox.send(Buffer.alloc(40), urgent))
    // The stream itself takes the first.
    expect(sent(false)).to.deep.equal([true, true, true, false, false])
    expect(sent(true)).to.deep.equal([true, true, false, false, false])
    expect(stream.writableLength).to.equal(40)
    await takeAll()
    expect(written).to.have.length(5)
    expect(outbox.send(Buffer.alloc(40), false)).to.equal(true)
  })

  it('sends all that waits before it ends', async () => {
    const { stream, written, takeAll } = slowStream()
    const outbox = new Outbox(stream, 1000)
    for (let i = 0; i < 4; i++) outbox.send(Buffer.from(`message ${i}, long`), false)
    outbox.end()
    await takeAll()
    expect(written).to.have.length(4)
    expect(stream.writableFinished).to.equal(true)
  })

  it('sends each frame once where writing leads back into it', () => {
    const written: string[] = []
    const stream = new Writable({
      write(chunk: Buffer, _, done) {
        written.push(chunk.toString())
        if (written.length < 5) outbox.send(Buffer.from(String(written.length)), written.length % 2 === 0)
        done()
      },
    })
    const outbox = new Outbox(stream, 1000)
    outbox.send(Buffer.from('0'), false)
    expect(written).to.deep.equal(['0', '1', '2', '3', '4'])
  })
})
