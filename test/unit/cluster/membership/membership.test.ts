import { expect } from 'chai'
import { silentLogger } from '../../../../src/base/logger.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import { Membership } from '../../../../src/cluster/membership/membership.ts'
import type { MembershipMessage } from '../../../../src/cluster/membership/message.ts'
import { profiles } from '../../../../src/cluster/membership/profile.ts'
import type { Peer, Transport } from '../../../../src/cluster/transport/transport.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const address = { host: '10.0.0.2', port: 7946 }
const self = (life: number) => ({ name: 'self', address: '10.0.0.1:7946', life })

describe('membership', () => {
  /** A node that takes part, connected with `other`, and what it says to it. */
  const make = () => {
    const clock = new ManualClock()
    const transport = { introduce() {}, dial: () => new Promise(() => {}) } as unknown as Transport
    const membership = new Membership({
      ...{ transport, profile: profiles.lan, clock, random: systemRandom, logger: silentLogger },
      progress: () => undefined,
      onProgress: () => {},
      onFenced: () => {},
      onReturned: () => {},
    })
    const said: MembershipMessage[] = []
    const other = {
      ...{ name: 'other', life: 2, address, closed: new Promise(() => {}) },
      notify: (_method: string, message: MembershipMessage) => said.push(message) > 0,
    } as unknown as Peer
    const hear = (body: object) => membership.receive(other, { life: 2, incarnation: 0, view: '', ...body })
    membership.enter(self(1))
    membership.connected(other)
    hear({ kind: 'sync', answer: false })
    return { membership, clock, said, hear }
  }

  it('measures how long its probes take there and back, and nothing else', () => {
    const { membership, clock, said, hear } = make()
    const probe = () => said.find((message) => message.kind === 'probe')
    while (!probe()) clock.advance(1)
    clock.advance(7)
    hear({ kind: 'gossip' })
    hear({ kind: 'ack', sequence: 12_345 })
    expect(membership.roundTrips.count).to.equal(0)
    hear({ kind: 'ack', sequence: probe()?.sequence })
    expect(membership.roundTrips.count).to.equal(1)
    expect(membership.roundTrips.sum).to.be.within(7, 8)
  })

  it('counts on through a new life, a new name and the end', () => {
    const { membership } = make()
    const { syncs } = membership.counts()
    expect(syncs).to.be.greaterThan(0)
    membership.enter(self(9))
    expect(membership.counts().syncs).to.equal(syncs)
    membership.enter({ ...self(10), name: 'renamed' })
    membership.stop()
    expect(membership.counts().syncs).to.equal(syncs)
  })
})
