import { expect } from 'chai'
import type { Verify } from '../../../src/plugins/jwt/algorithms.ts'
import { KnownTokens } from '../../../src/plugins/jwt/known-tokens.ts'
import { BadToken } from '../../../src/plugins/jwt/token.ts'
import { signedToken } from '../../support/token.ts'

describe('the tokens that jwt knows', () => {
  const text = signedToken({ iss: 'bobs', exp: 5 }, 'secret')
  let tokens: KnownTokens
  let verified: string[]

  /** Of one row, as each has its own. */
  const verifier =
    (name: string, isRight = true): Verify =>
    (signed) => {
      verified.push(`${name}: ${signed}`)
      return isRight
    }
  const isSigned = (token: string, verify: Verify) => tokens.isSigned(tokens.read(token), verify)

  beforeEach(() => {
    tokens = new KnownTokens()
    verified = []
  })

  it('are verified once, over what stands before the signature', () => {
    const verify = verifier('one')
    for (let i = 0; i < 3; i++) expect(isSigned(text, verify)).equal(true)
    expect(verified).deep.equal([`one: ${text.slice(0, text.lastIndexOf('.'))}`])
    expect(tokens.read(text).claims).deep.equal({ iss: 'bobs', exp: 5 })
  })

  it('are verified anew by another key, and are wrong if that says so', () => {
    const first = verifier('first')
    expect(isSigned(text, first)).equal(true)
    expect(isSigned(text, verifier('second', false))).equal(false)
    expect(isSigned(text, verifier('third'))).equal(true)
    expect(isSigned(text, first)).equal(true)
    expect(verified.map((line) => line.split(':')[0])).deep.equal(['first', 'second', 'third', 'first'])
  })

  it('are none that were wrong: those are read and verified each time', () => {
    const verify = verifier('one', false)
    for (let i = 0; i < 3; i++) expect(isSigned(text, verify)).equal(false)
    expect(verified).length(3)
    expect(() => tokens.read('a.b')).throw(BadToken)
  })

  it('say nothing of another one with the same signature', () => {
    const [header, , signature] = text.split('.')
    const verify = verifier('one')
    expect(isSigned(text, verify)).equal(true)
    const other = `${header}.e30.${signature}`
    expect(tokens.read(other).claims).deep.equal({})
    expect(isSigned(other, verifier('one', false))).equal(false)
    expect(isSigned(other, verify)).equal(true)
    expect(verified).length(3)
  })
})
