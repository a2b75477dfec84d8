import { expect } from 'chai'
import fc from 'fast-check'
import { AddressList, faultOfRange } from '../../../src/base/address-list.ts'

describe('a list of addresses', () => {
  it('has single addresses and ranges, of both families', () => {
    const list = new AddressList(['10.0.0.1', '192.168.0.0/16', 'fd00::/8', '::1'])
    for (const address of ['10.0.0.1', '192.168.255.255', 'fdff::1', '::1', '0:0:0:0:0:0:0:1']) {
      expect(list.has(address), address).equal(true)
    }
    for (const address of ['10.0.0.2', '192.169.0.0', 'fe00::1', '::2', '::', 'none', '']) {
      expect(list.has(address), address).equal(false)
    }
  })

  it('takes an IPv4 address that is written as IPv6 for the same, in a list and in a question', () => {
    expect(new AddressList(['10.0.0.0/8']).has('::ffff:10.1.2.3')).equal(true)
    expect(new AddressList(['10.0.0.0/8']).has('::ffff:a01:203')).equal(true)
    expect(new AddressList(['::ffff:10.0.0.0/104']).has('10.1.2.3')).equal(true)
    expect(new AddressList(['::ffff:10.0.0.0/104']).has('11.1.2.3')).equal(false)
  })

  it('has all of a family in a range of no bits', () => {
    expect(new AddressList(['0.0.0.0/0']).has('255.1.2.3')).equal(true)
    expect(new AddressList(['0.0.0.0/0']).has('fd00::1')).equal(false)
    expect(new AddressList(['::/0']).has('fd00::1')).equal(true)
  })

  it('finds whatever agrees in the leading bits, and nothing else', () => {
    const number = fc.integer({ min: 0, max: 2 ** 32 - 1 })
    const text = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
    fc.assert(
      fc.property(number, number, fc.integer({ min: 1, max: 32 }), (range, address, bits) => {
        const list = new AddressList([`${text(range)}/${bits}`])
        expect(list.has(text(address))).equal((range ^ address) >>> (32 - bits) === 0)
        expect(list.has(text(range))).equal(true)
      }),
    )
  })

  it('says what is wrong with text that is neither address nor range', () => {
    for (const bad of ['hello', '', '1.2.3', '256.1.1.1', '1.2.3.4/8/9', 'fe80::1::2', '01.2.3.4']) {
      expect(faultOfRange(bad), bad).equal('Invalid IP')
    }
    for (const bits of ['33', '', '-1', '8x', '1.5']) {
      expect(faultOfRange(`1.2.3.4/${bits}`)).equal(`Invalid prefix: /${bits}`)
    }
    expect(faultOfRange('fd00::/129')).equal('Invalid prefix: /129')
    expect(() => new AddressList(['1.1.1.1', 'hello'])).throw("cannot parse 'hello': Invalid IP")
  })
})
