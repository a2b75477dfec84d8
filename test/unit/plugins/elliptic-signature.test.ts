import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { expect } from 'chai'
import { toDer } from '../../../src/plugins/jwt/elliptic-signature.ts'

describe('an elliptic signature in DER', () => {
  for (const [namedCurve, bytes] of [
    ['prime256v1', 32],
    ['secp384r1', 48],
    ['secp521r1', 66],
  ] as const) {
    it(`is the one that JOSE writes, on ${namedCurve}, whatever its numbers begin with`, () => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
      // One in 128 or so begins with a zero, half of them with a bit that is set.
      for (let i = 0; i < 300; i++) {
        const text = Buffer.from(`text ${i}`)
        const signature = sign('sha256', text, { key: privateKey, dsaEncoding: 'ieee-p1363' })
        const der = toDer(signature, bytes)
        expect(der !== undefined && verify('sha256', text, publicKey, der)).equal(true)
      }
    })
  }

  it('has numbers as short as they can be', () => {
    expect(toDer(Buffer.from([0, 1, 0, 0x80]), 2)?.toString('hex')).equal('3007020101' + '02020080')
    expect(toDer(Buffer.from([0, 0, 0x7f, 0xff]), 2)?.toString('hex')).equal('3007020100' + '02027fff')
  })

  it('is none of what has another length', () => {
    expect(toDer(Buffer.alloc(63), 32)).equal(undefined)
    expect(toDer(Buffer.alloc(65), 32)).equal(undefined)
    expect(toDer(Buffer.alloc(0), 32)).equal(undefined)
  })
})
