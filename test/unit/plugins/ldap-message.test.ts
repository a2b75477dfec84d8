import { expect } from 'chai'
import fc from 'fast-check'
import { element, elementsOf, extentOf, integer, numberOf, text } from '../../../src/plugins/ldap-auth/ber.ts'
import { bindRequest, parseAnswer, startTlsRequest } from '../../../src/plugins/ldap-auth/message.ts'

describe('messages of LDAP', () => {
  it('a bind and a StartTLS are, byte for byte, what RFC 4511 says', () => {
    expect(bindRequest(1, 'cn=x', 'pw').toString('hex')).equal('3012020101600d0201030404636e3d7880027077')
    const oid = Buffer.from('1.3.6.1.4.1.1466.20037').toString('hex')
    expect(startTlsRequest(300).toString('hex')).equal(`301e0202012c77188016${oid}`)
  })

  it('an answer says its request, its code and a sentence', () => {
    const bytes = Buffer.from('3010020107610b0a0131040004046e6f7065', 'hex')
    expect(parseAnswer(bytes)).deep.equal({ messageId: 7, kind: 'bind', code: 49, diagnostic: 'nope' })
  })

  it('what is no answer is told as that, wherever it is cut or changed', () => {
    const answer = element(
      0x30,
      integer(5),
      element(0x61, element(0x0a, Buffer.from([0])), text('o'), text('k')),
    )
    const change = fc.record({ at: fc.nat(answer.length - 1), to: fc.nat(255), cut: fc.nat(answer.length) })
    fc.assert(
      fc.property(change, ({ at, to, cut }) => {
        const bytes = Buffer.from(answer)
        bytes[at] = to
        for (const wrong of [bytes, bytes.subarray(0, cut)]) {
          try {
            expect(parseAnswer(wrong)).have.keys('messageId', 'kind', 'code', 'diagnostic')
          } catch (error) {
            expect(error).instanceOf(RangeError)
          }
        }
      }),
    )
  })

  it('lengths and numbers of every size can be read back', () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
      const bytes = element(4, Buffer.alloc(length, 1))
      expect(extentOf(bytes)).equal(bytes.length)
      expect(elementsOf(Buffer.concat([bytes, bytes])).map(({ content }) => content.length)).deep.equal([
        length,
        length,
      ])
    }
    for (const value of [0, 1, 127, 128, 255, 256, 32_767, 32_768, 2 ** 31 - 1]) {
      expect(elementsOf(integer(value)).map(numberOf)).deep.equal([value])
    }
  })
})
