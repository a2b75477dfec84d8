import { expect } from 'chai'
import { clientAddressRule } from '../../../src/proxy/client-address.ts'

describe('client address', () => {
  const saying = (...values: string[]) => ({ all: () => values })
  const claims = saying('4.4.4.4, 1.1.1.1', '5.5.5.5')

  it('nobody is believed by default', () => {
    expect(clientAddressRule([])('9.9.9.9', claims)).equal('9.9.9.9')
  })

  it('a peer that is not trusted is itself the client', () => {
    expect(clientAddressRule(['10.0.0.0/8'])('9.9.9.9', claims)).equal('9.9.9.9')
  })

  it('from the right, the first address that is not trusted is the client', () => {
    const rule = clientAddressRule(['10.0.0.0/8', '5.5.5.5'])
    expect(rule('10.1.2.3', claims)).equal('1.1.1.1')
    expect(rule('10.1.2.3', saying('6.6.6.6, 10.9.9.9'))).equal('6.6.6.6')
  })

  it('where all are trusted the leftmost is the client [contract 116]', () => {
    expect(clientAddressRule(['0.0.0.0/0'])('127.0.0.1', claims)).equal('4.4.4.4')
  })

  it('what stands left of something that is no address is not believed', () => {
    expect(clientAddressRule(['0.0.0.0/0'])('10.0.0.1', saying('1.1.1.1, evil, 2.2.2.2'))).equal('2.2.2.2')
    expect(clientAddressRule(['10.0.0.1'])('10.0.0.1', saying(''))).equal('10.0.0.1')
  })

  it('ports, brackets, zones and mapped addresses are taken off', () => {
    const rule = clientAddressRule(['10.0.0.1', 'fd00::/8'])
    expect(rule('::ffff:10.0.0.1', saying('1.1.1.1:4711'))).equal('1.1.1.1')
    expect(rule('fd00::1%eth0', saying('[2001:db8::1]:80'))).equal('2001:db8::1')
    expect(clientAddressRule([])('::ffff:8.8.8.8', claims)).equal('8.8.8.8')
  })

  it('a value that is neither address nor range is refused by name', () => {
    for (const bad of ['example.com', '10.0.0.0/33', '10.0.0.0/', '1.2.3.4/8/9', '']) {
      expect(() => clientAddressRule([bad]), bad).throw(`got "${bad}"`)
    }
  })
})
