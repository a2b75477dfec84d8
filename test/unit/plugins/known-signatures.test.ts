import { expect } from 'chai'
import type { Row } from '../../../src/base/json.ts'
import { KnownSignatures } from '../../../src/plugins/hmac-auth/known-signatures.ts'
import type { PluginRequest } from '../../../src/plugins/plugin.ts'
import { Headers } from '../../../src/proxy/headers.ts'
import { signatureOf, signingHeader } from '../../support/signing.ts'

describe('the signatures that hmac-auth knows', () => {
  const text = 'date: Sun, 06 Nov 1994 08:49:37 GMT'
  const value = signingHeader('bobs', 'date', signatureOf(text, 'secret'))
  let signatures: KnownSignatures
  /** How often a secret was asked for: once for each time that something is verified. */
  let asked: number

  const rowWith = (secret: string): Row =>
    Object.defineProperty({ username: 'bobs' }, 'secret', {
      get() {
        asked++
        return secret
      },
    })
  /** A request with the line `signed` of its head. */
  const requestWith = (signed: string): PluginRequest['incoming'] => {
    const mark = signed.indexOf(': ')
    const headers = Headers.read(['Host', 'x', signed.slice(0, mark), signed.slice(mark + 2)])
    const plain = { method: 'GET', target: '/', httpVersion: '1.1', headers }
    return plain as Partial<PluginRequest['incoming']> as PluginRequest['incoming']
  }
  const isRight = (credential: Row, signed = text, header = value) => {
    const read = signatures.read(header)
    return read !== undefined && signatures.isRight(header, read, requestWith(signed), credential)
  }

  beforeEach(() => {
    signatures = new KnownSignatures()
    asked = 0
  })

  it('are verified once for the same text and row', () => {
    const row = rowWith('secret')
    for (let i = 0; i < 3; i++) expect(isRight(row)).equal(true)
    expect(asked).equal(1)
    expect(signatures.read(value))
      .include({ username: 'bobs' })
      .and.deep.include({ headers: ['date'] })
  })

  it('are verified anew for another row, with its secret', () => {
    expect(isRight(rowWith('secret'))).equal(true)
    expect(isRight(rowWith('new'))).equal(false)
    expect(isRight(rowWith('secret'))).equal(true)
    expect(asked).equal(3)
  })

  it('are not those of another text', () => {
    const row = rowWith('secret')
    expect(isRight(row)).equal(true)
    expect(isRight(row, `${text} `)).equal(false)
    expect(asked).equal(2)
  })

  it('are none that were wrong, nor over much text', () => {
    const row = rowWith('secret')
    const long = `date: ${'x'.repeat(5000)}`
    const header = signingHeader('bobs', 'date', signatureOf(long, 'secret'))
    for (let i = 1; i <= 2; i++) {
      expect(isRight(row, long, header)).equal(true)
      expect(isRight(row, 'date: another')).equal(false)
      expect(asked).equal(2 * i)
    }
  })
})
