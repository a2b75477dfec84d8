import type { NetworkInterfaceInfo } from 'node:os'
import { expect } from 'chai'
import { advertisedAddress } from '../../../../src/cluster/membership/advertised.ts'

const at = (address: string, internal = false) =>
  ({ address, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' }) as NetworkInterfaceInfo
const everywhere = { host: '0.0.0.0', port: 7946 }

describe('the advertised address', () => {
  it('is the one that is set, whatever else there is [contract 75]', () => {
    const set = { host: '1.2.3.4', port: 5 }
    expect(advertisedAddress(set, everywhere, { eth0: [at('10.0.0.1')] }).address).to.equal(set)
  })

  it('is the listener’s when that is one interface', () => {
    const listen = { host: '10.0.0.7', port: 7946 }
    expect(advertisedAddress(undefined, listen, { eth0: [at('10.0.0.1')] }).address).to.equal(listen)
  })

  it('is the first IPv4 address that is not loopback, with the listener’s port', () => {
    const interfaces = {
      lo: [at('127.0.0.1', true)],
      eth0: [at('fe80::1'), at('10.0.0.1')],
      eth1: [at('10.0.0.2')],
    }
    const found = advertisedAddress(undefined, everywhere, interfaces)
    expect(found).to.deep.equal({ address: { host: '10.0.0.1', port: 7946 }, loopbackOnly: false })
  })

  it('is loopback, and says so, when there is nothing else', () => {
    const found = advertisedAddress(undefined, everywhere, { lo: [at('127.0.0.1', true)] })
    expect(found).to.deep.equal({ address: { host: '127.0.0.1', port: 7946 }, loopbackOnly: true })
  })
})
