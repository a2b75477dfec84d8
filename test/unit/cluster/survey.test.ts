import { expect } from 'chai'
import { systemClock } from '../../../src/base/clock.ts'
import type { Member } from '../../../src/cluster/membership/member.ts'
import type { RegisteredNode } from '../../../src/cluster/membership/registry.ts'
import { Survey } from '../../../src/cluster/survey.ts'

const member = (name: string, status: Member['status']): Member => ({
  ...{ name, address: `${name}:7946`, status, life: 1, incarnation: 0, sinceMs: 0 },
})
const row = (name: string, given: Partial<RegisteredNode> = {}): RegisteredNode => ({
  ...{ name, address: `${name}:7946`, status: 'alive', life: 1, applied: 1, silentMs: 0, expired: false },
  ...{ version: '0.1.0', refusesAfterMs: null, createdAt: 0, forced: false },
  ...given,
})

describe('a survey', () => {
  const survey = new Survey({
    members: () => [member('self', 'alive'), member('dead', 'failed'), member('gone', 'left')],
    self: () => 'self',
    peer: () => undefined,
    rows: async () => [
      row('self'),
      row('dead'),
      row('gone', { status: 'left' }),
      row('stranger'),
      row('expired', { expired: true }),
    ],
    head: async () => ({ position: 1, digest: 'a' }),
    report: () => ({ position: 1, digest: 'a', freshnessMs: 0, propagationMs: {} }),
    verify: async (limitMs) => ({ limitMs }),
    clock: systemClock,
  })

  it('has of every node that is to be there what it found, or why it has not answered', async () => {
    expect(Object.fromEntries(await survey.verify(50))).to.deep.equal({
      self: { value: { limitMs: 50 } },
      dead: { error: 'no connection to it' },
      stranger: { error: 'this node does not know it' },
    })
  })

  it('tells a node that does not reach another from one that could not be asked', async () => {
    const reaches = Object.fromEntries(
      (await survey.reachability()).map(({ name, links }) => [
        name,
        links.map(({ to, error }) => [to, error]),
      ]),
    )
    expect(reaches).to.deep.equal({
      self: [
        ['dead', 'no connection to it'],
        ['stranger', 'it does not know it'],
      ],
      dead: [
        ['self', 'it could not be asked: no connection to it'],
        ['stranger', 'it could not be asked: no connection to it'],
      ],
      stranger: [
        ['self', 'it could not be asked: this node does not know it'],
        ['dead', 'it could not be asked: this node does not know it'],
      ],
    })
  })
})
