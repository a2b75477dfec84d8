import { expect } from 'chai'
import { type Hash, sipHash } from '../../../src/base/sip-hash.ts'

/** The key and the texts of the paper's appendix: the bytes 0, 1, 2 …, here two in each code unit. */
const key = new Int32Array(Uint8Array.from({ length: 16 }, (_, i) => i).buffer)
const textOf = (bytes: number) => Buffer.from(Array.from({ length: bytes }, (_, i) => i)).toString('utf16le')

function hashOf(text: string, secret = key): string {
  const hash: Hash = { low: 0, high: 0 }
  sipHash(secret, text, hash)
  return hexOf(hash)
}

function longHashOf(text: string, secret = key): string {
  const halves: [Hash, Hash] = [
    { low: 0, high: 0 },
    { low: 0, high: 0 },
  ]
  sipHash(secret, text, ...halves)
  return halves.map(hexOf).join('')
}

function hexOf({ low, high }: Hash): string {
  return Buffer.from(Int32Array.of(low, high).buffer).toString('hex')
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

  it('is that of another implementation where it has 128 bits', () => {
    // By OpenSSL: openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -in <file of the bytes> SipHash
    const hashes = {
      0: 'a3817f04ba25a8e66df67214c7550293',
      2: '8177228da4a45dc7fca38bdef60affe4',
      4: 'f88164c12d9c8faf7d0f6e7c7bcd5579',
      8: '3b62a9ba6258f5610f83e264f31497b4',
      62: '5853542321f567a005d547a4f04759bd',
    }
    for (const [bytes, hash] of Object.entries(hashes))
      expect(longHashOf(textOf(Number(bytes)))).to.equal(hash)
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
    for (const hash of [hashOf, longHashOf])
      expect(new Set(texts.map((text) => hash(text))).size).to.equal(texts.length)
  })

  it('is another one under another key', () => {
    for (let i = 0; i < 4; i++) {
      const other = key.slice()
      other[i] = 99
      for (const hash of [hashOf, longHashOf]) expect(hash('text', other)).to.not.equal(hash('text'))
    }
  })
})
