import { expect } from 'chai'
import fc from 'fast-check'
import { encodeFrame, FrameDecoder } from '../../../src/rpc/wire.ts'

describe('frames', () => {
  it('arrive whole and in order, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 8 }), fc.array(fc.nat(40)), (messages, cuts) => {
        const bytes = Buffer.concat(messages.map((message) => encodeFrame(message, 1 << 20)))
        const decoder = new FrameDecoder(1 << 20)
        const received: unknown[] = []
        let from = 0
        for (const cut of [...cuts, bytes.length]) {
          received.push(...decoder.push(bytes.subarray(from, from + cut)))
          from += cut
        }
        expect(JSON.stringify(received)).to.equal(JSON.stringify(messages))
      }),
    )
  })

  it('are copied once, not once per chunk', () => {
    const frame = encodeFrame('x'.repeat(4 << 20), 8 << 20)
    const decoder = new FrameDecoder(8 << 20)
    let copied = 0
    const { concat } = Buffer
    Buffer.concat = (list, length) => {
      const joined = concat(list, length)
      copied += joined.length
      return joined
    }
    try {
      for (let i = 0; i < frame.length; i += 1000) decoder.push(frame.subarray(i, i + 1000))
    } finally {
      Buffer.concat = concat
    }
    expect(copied).to.be.at.most(frame.length)
  })

  it('are refused when empty, longer than the bound, or not JSON', () => {
    const header = (length: number) => {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(length)
      return bytes
    }
    for (const bytes of [
      header(0),
      header(101),
      header(0xffffffff),
      Buffer.concat([header(3), Buffer.from('{a}')]),
    ]) {
      expect(() => new FrameDecoder(100).push(bytes))
        .to.throw()
        .with.property('code', 'rpc-protocol')
    }
  })

  it('are not made longer than the other end accepts', () => {
    expect(() => encodeFrame('x'.repeat(100), 50)).to.throw('longer than the 50')
    expect(() => encodeFrame(undefined, 50)).to.throw('must be a JSON value')
    expect(encodeFrame('é', 4).length).to.equal(8)
  })
})
