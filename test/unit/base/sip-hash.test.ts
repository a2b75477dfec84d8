import { expect } from 'chai'
import { type Hash, sipHash } from '../../../src/base/sip-hash.ts'

/** The key and the texts of the paper's appendix: the bytes 0, 1, 2 …, here two in each code unit. */
const key = new Int32Array(Uint8Array.from({ length: 16 }, (_, i) => i).buffer)
const textOf = (bytes: number) => Buffer.from(Array.from({ length: bytes }, (_, i) => i)).toString('utf16le')

function hashOf(text: string, secret = key): string {
  const hash: Hash = { low: 0, high: 0 }
  sipHash(secret, text, hash)
  const bytes = Buffer.alloc(8)
  bytes.writeInt32LE(hash.low, 0)
  bytes.writeInt32LE(hash.high, 4)
  return bytes.toString('hex')
}

describe('SipHash', () => {
  it('is that of the reference implementation', () => {
    const vectors = {
      0: '310e0edd47db6f72',
      2: '5a4fa9d909806c0d',
      4: 'b7877127e09427cf',
      6: 'cee3fe586e46c9cb',
      8: '6224939a79f5f593',
      62: '575ff28e60381be5',
    }
    for (const [bytes, hash] of Object.entries(vectors)) expect(hashOf(textOf(Number(bytes)))).to.equal(hash)
  })

  it('tells texts apart that are no Unicode, and those that end in zeros', () => {
    const texts = [
      '',
      '\0',
      '\0\0',
      '\ud800',
      '\udc00',
      '\ufffd',
      'a',
      'a\0',
      'A',
      'a'.repeat(128),
      'a'.repeat(256),
    ]
    expect(new Set(texts.map((text) => hashOf(text))).size).to.equal(texts.length)
  })

  it('is another one under another key', () => {
    for (let i = 0; i < 4; i++) {
      const other = key.slice()
      other[i] = 99
      expect(hashOf('text', other)).to.not.equal(hashOf('text'))
    }
  })
})
