import { expect } from 'chai'
import type { Rumour } from '../../../../src/cluster/membership/member.ts'
import { Members, type Step } from '../../../../src/cluster/membership/members.ts'
import type { MembershipMessage } from '../../../../src/cluster/membership/message.ts'
import { profiles } from '../../../../src/cluster/membership/profile.ts'
import { seededRandom } from '../../../simulation/chance.ts'

const day = 24 * 3_600_000
const peer = (name: string, life: number) => ({ name, address: `10.0.0.${life}:7946`, life })
const me = peer('me', 10)
const a = peer('a', 1)
const b = peer('b', 2)

describe('members', () => {
  it('lists itself and those it is connected with, each with since when', () => {
    const members = joined()
    expect(members.list()).to.deep.equal([
      { ...a, status: 'alive', incarnation: 0, sinceMs: 1 },
      { ...b, status: 'alive', incarnation: 0, sinceMs: 1 },
      { ...me, status: 'alive', incarnation: 0, sinceMs: 0 },
    ])
  })

  it('contradicts a suspicion, a verdict and a leave of its own by a higher incarnation', () => {
    for (const state of ['suspect', 'failed', 'left'] as const) {
      const members = joined()
      const step = hear(members, { ...me, incarnation: 4, state, by: 'b' })
      expect(members.get('me')).to.include({ status: 'alive', incarnation: 5 })
      expect(toldOf(step, 'me', 'a')).to.include({ state: 'alive', incarnation: 5 })
      expect(toldOf(step, 'me', 'b')).to.include({ state: 'alive', incarnation: 5 })
    }
  })

  it('does not contradict what is older than what it said last', () => {
    const members = joined()
    hear(members, { ...me, incarnation: 4, state: 'suspect', by: 'b' })
    expect(hear(members, { ...me, incarnation: 4, state: 'failed', by: 'b' }).send).to.deep.equal([])
    expect(hear(members, { ...me, life: 9, incarnation: 7, state: 'failed', by: 'b' }).send).to.deep.equal([])
    expect(members.get('me')?.incarnation).to.equal(5)
  })

  it('is fenced when forced out, says nothing any more, and comes back by a new life', () => {
    const members = joined()
    const step = hear(members, { ...me, incarnation: 0, state: 'forced', by: 'b' })
    expect(step.events).to.deep.equal([{ kind: 'fenced', reason: 'forced' }])
    expect(members.tick(60_000).send).to.deep.equal([])
    expect(members.receive('a', message(a, { kind: 'probe', sequence: 1 }), 60_000).send).to.deep.equal([])
    expect(members.nextDueAt).to.equal(Number.POSITIVE_INFINITY)
    const renewed = members.renew(20, 61_000)
    expect(toldOf(renewed, 'me', 'a')).to.include({ life: 20, incarnation: 0, state: 'alive' })
    expect(members.get('me')).to.include({ life: 20, status: 'alive', sinceMs: 61_000 })
  })

  it('dials those whose connections broke while it was fenced, once it is renewed', () => {
    const members = joined()
    hear(members, { ...me, incarnation: 0, state: 'forced', by: 'b' })
    expect(members.connectionLost('a', 3).dial).to.deep.equal([])
    expect(members.renew(20, 4).dial).to.deep.equal([a])
  })

  it('takes a late tick for its own lag: who was suspected before is not judged at once', () => {
    const members = joined()
    hear(members, { ...b, incarnation: 0, state: 'suspect', by: 'a' })
    expect(members.nextDueAt).to.be.below(1000)
    expect(members.tick(60_000).events).to.deep.equal([])
    expect(members.stretch).to.be.above(1)
    hear(members, { ...b, incarnation: 1, state: 'alive', by: 'b' }, 60_001)
    expect(members.tick(members.nextDueAt).events).to.deep.equal([])
  })

  it('is fenced when another registered under its name', () => {
    const step = hear(joined(), { ...me, life: 11, incarnation: 0, state: 'alive', by: 'me' })
    expect(step.events).to.deep.equal([{ kind: 'fenced', reason: 'superseded' }])
    const row = { ...me, life: 11, status: 'alive', expired: false } as const
    expect(joined().reconcile([row], 11, 5).events).to.deep.equal([{ kind: 'fenced', reason: 'superseded' }])
  })

  it('asks the datastore about a later life of its own that its log does not show', () => {
    const step = hear(joined(), { ...me, life: 21, incarnation: 0, state: 'alive', by: 'me' })
    expect(step.events).to.deep.equal([{ kind: 'doubted' }])
  })

  it('lets a later life that the log does not hold yield to an earlier one', () => {
    const members = joined()
    hear(members, { ...b, life: 21, incarnation: 0, state: 'alive', by: 'b' })
    expect(members.get('b')?.life).to.equal(21)
    members.connected({ ...b, life: 12 }, 3)
    expect(members.get('b')?.life).to.equal(12)
    members.connected({ ...b, life: 11 }, 4)
    expect(members.get('b')?.life).to.equal(12)
  })

  it('ignores messages of an older life, and says so to who sent them', () => {
    const members = joined()
    members.connected({ ...a, life: 5 }, 2)
    const suspicion: Rumour = { ...b, incarnation: 0, state: 'failed', by: 'a' }
    const step = members.receive('a', message(a, { kind: 'probe', sequence: 1 }, [suspicion]), 3)
    expect(members.get('b')?.status).to.equal('alive')
    expect(step.send.map(({ message: { kind } }) => kind)).to.deep.equal(['gossip'])
    expect(toldOf(step, 'a', 'a')).to.include({ life: 5 })
  })

  it('tells a live member that was forced out, whatever it says', () => {
    const members = joined()
    const step = members.forceLeave('a', 5)
    expect(toldOf(step, 'a', 'a')).to.include({ state: 'forced' })
    expect(step?.events).to.deep.include({ kind: 'left', member: members.get('a'), forced: true })
    const late = members.receive('a', message({ ...a }, { kind: 'probe', sequence: 1 }, [], 9), 6)
    expect(toldOf(late, 'a', 'a')).to.include({ state: 'forced' })
    expect(members.get('a')?.status).to.equal('left')
  })

  it('knows nothing of a name to force out, and does nothing to one that left', () => {
    const members = joined()
    expect(members.forceLeave('z', 5)).to.equal(undefined)
    members.forceLeave('a', 5)
    expect(members.forceLeave('a', 6)).to.deep.include({ send: [], events: [] })
    members.forceLeave('a', 7, true)
    expect(members.list().map(({ name }) => name)).to.deep.equal(['b', 'me'])
  })

  it('dials at once when a connection is lost, suspects when refused, and fails on a witness’s word', () => {
    const members = joined()
    expect(members.connectionLost('a', 10).dial).to.deep.equal([a])
    const refused = members.dialRefused('a', 11)
    expect(refused.events).to.deep.equal([])
    expect(members.get('a')?.status).to.equal('alive')
    expect(refused.send.map(({ to, message: { kind } }) => `${to} ${kind}`)).to.deep.equal(['b ask-witness'])
    const testimony = { kind: 'testify', target: 'a', targetLife: 1, refused: true } as const
    const step = members.receive('b', message(b, testimony), 12)
    expect(step.events).to.deep.equal([{ kind: 'failed', member: members.get('a') }])
    expect(members.get('a')).to.include({ status: 'failed', sinceMs: 12 })
  })

  it('dials failed members again, ever more seldom, until they are forced out', () => {
    const members = joined()
    members.connectionLost('a', 0)
    members.dialRefused('a', 1)
    members.receive('b', message(b, { kind: 'testify', target: 'a', targetLife: 1, refused: true }), 2)
    const dials: number[] = []
    for (let now = 10; now < 60_000; now += 10) {
      if (members.tick(now).dial.some(({ name }) => name === 'a')) {
        dials.push(now)
        members.dialRefused('a', now)
      }
    }
    const gaps = dials.slice(1).map((at, i) => at - (dials[i] as number))
    expect(gaps[0]).to.be.below(600)
    expect(Math.max(...gaps)).to.be.within(5000, profiles.lan.redialMostMs)
    expect(dials.length).to.be.within(10, 20)
    members.forceLeave('a', 60_000)
    for (let now = 60_010; now < 90_000; now += 10) expect(members.tick(now).dial).to.deep.equal([])
  })

  it('hears another’s verdict on one it is connected with as an accusation, and asks it', () => {
    const members = joined()
    const step = hear(members, { ...b, incarnation: 0, state: 'failed', by: 'a' })
    expect(step.events).to.deep.equal([])
    expect(toldOf(step, 'b', 'b')).to.include({ state: 'suspect', by: 'a' })
  })

  it('takes another’s verdict on one that it lost too, and its return by a higher incarnation', () => {
    const members = joined()
    expect(fail(members, b).events.map(({ kind }) => kind)).to.deep.equal(['failed'])
    hear(members, { ...b, incarnation: 0, state: 'alive', by: 'b' })
    expect(members.get('b')?.status).to.equal('failed')
    const back = hear(members, { ...b, incarnation: 1, state: 'alive', by: 'b' })
    expect(back.events.map(({ kind }) => kind)).to.deep.equal(['back'])
  })

  it('remembers who left for a day, and no stale rumour brings it back', () => {
    const members = joined()
    const alive: Rumour = { ...b, incarnation: 0, state: 'alive', by: 'b' }
    hear(members, { ...b, incarnation: 1, state: 'left', by: 'b' })
    for (let now = 1000; now < day; now += 3_600_000) {
      members.tick(now)
      hear(members, alive, now)
      expect(members.get('b')?.status).to.equal('left')
    }
    members.tick(day + 300_000)
    expect(members.get('b')).to.equal(undefined)
  })

  it('does not learn from others what is to be forgotten, and keeps the age of what it learns', () => {
    const members = joined()
    hear(members, { ...peer('c', 3), incarnation: 0, state: 'failed', by: 'b', ageMs: day }, 5000)
    expect(members.get('c')).to.equal(undefined)
    const step = hear(
      members,
      { ...peer('c', 3), incarnation: 0, state: 'failed', by: 'b', ageMs: 3000 },
      5000,
    )
    expect(members.get('c')).to.include({ status: 'failed', sinceMs: 2000 })
    expect(step.events, 'history is no event').to.deep.equal([])
  })

  it('says that it leaves and that it left to all it is connected with, and then nothing', () => {
    const members = joined()
    expect(toldOf(members.leave(10), 'me', 'a')).to.include({ state: 'leaving', incarnation: 1 })
    const last = members.left(20)
    for (const to of ['a', 'b']) expect(toldOf(last, 'me', to)).to.include({ state: 'left', incarnation: 2 })
    expect(members.tick(30_000)).to.deep.equal({ send: [], dial: [], events: [], answers: [] })
  })

  describe('and the rows of the datastore', () => {
    const row = (of: typeof a, more = {}) => ({ ...of, status: 'alive' as const, expired: false, ...more })

    it('dials who is registered and unknown, and calls it joined once it is reached', () => {
      const members = fresh()
      const step = members.reconcile([row(a)], 1, 5)
      expect(step.dial).to.deep.equal([a])
      expect(step.events).to.deep.equal([])
      expect(members.get('a')?.status).to.equal('failed')
      expect(members.connected(a, 6).events).to.deep.equal([{ kind: 'joined', member: members.get('a') }])
    })

    it('never shows a dead row as alive, nor calls it joined', () => {
      const members = fresh()
      const events = [...members.reconcile([row(a)], 1, 5).events]
      events.push(...members.dialRefused('a', 6).events)
      for (let now = 10; now < 10_000; now += 10) {
        events.push(...members.tick(now).events)
        expect(members.get('a')?.status).to.equal('failed')
      }
      expect(events).to.deep.equal([])
    })

    it('ignores rows that left or expired, of whom it never heard', () => {
      const members = fresh()
      const step = members.reconcile([row(a, { status: 'left' }), row(b, { expired: true })], 2, 5)
      expect([step.dial, members.list().length]).to.deep.equal([[], 1])
    })

    it('makes a member leave whose row says so, and one that failed when its row is gone or expired', () => {
      const members = joined()
      const step = members.reconcile([row(a, { status: 'left' }), row(b)], 2, 5)
      expect(step.events).to.deep.equal([{ kind: 'left', member: members.get('a'), forced: true }])
      for (const rows of [[row(a)], [row(a), row(b, { expired: true })]]) {
        const others = joined()
        others.reconcile(rows, 2, 5)
        expect(others.get('b')?.status, 'alive, whatever the row').to.equal('alive')
        fail(others, b)
        others.reconcile(rows, 2, 5)
        expect(others.get('b')?.status).to.equal('left')
      }
    })

    it('does not miss the row of one that registered after they were read', () => {
      const members = joined()
      fail(members, b)
      members.reconcile([row(a)], 1, 5)
      expect(members.get('b')?.status).to.equal('failed')
    })

    it('begins a newer life, and ignores an older one', () => {
      const members = joined()
      members.reconcile([row({ ...a, life: 7 }), row({ ...b, life: 1 }, { status: 'left' })], 7, 5)
      expect(members.get('a')?.life).to.equal(7)
      expect(members.get('b')).to.include({ life: 2, status: 'alive' })
    })

    it('is fenced by its own row that left, unless it is leaving', () => {
      const own = row(me, { status: 'left' })
      expect(joined().reconcile([own], 10, 5).events).to.deep.equal([{ kind: 'fenced', reason: 'forced' }])
      const leaving = joined()
      leaving.leave(4)
      expect(leaving.reconcile([own], 10, 5).events).to.deep.equal([])
    })
  })
})

function fresh(): Members {
  return new Members({ self: me, profile: profiles.lan, random: seededRandom(3), now: 0, applied: () => 20 })
}

/** Connected with a and b, which it has exchanged views with. */
function joined(): Members {
  const members = fresh()
  for (const one of [a, b]) {
    members.connected(one, 1)
    members.receive(one.name, message(one, { kind: 'sync', answer: false }), 1)
  }
  // What is to be passed on of their joins has been told.
  for (let i = 0; i < 30; i++) members.receive('a', message(a, { kind: 'probe', sequence: i }), 1)
  return members
}

type Body = { kind: MembershipMessage['kind'] } & Record<string, unknown>

function message(from: typeof a, body: Body, rumours: Rumour[] = [], incarnation = 0): MembershipMessage {
  return { ...body, life: from.life, incarnation, view: '', rumours } as MembershipMessage
}

function hear(members: Members, rumour: Rumour, now = 2): Step {
  return members.receive('a', message(a, { kind: 'gossip' }, [rumour]), now)
}

/** It is lost to this node, and another says that it failed. */
function fail(members: Members, { name, address, life }: typeof a): Step {
  members.connectionLost(name, 2)
  return hear(members, { name, address, life, incarnation: 0, state: 'failed', by: 'a' })
}

/** What a step tells `to` of `name`. */
function toldOf(step: Step | undefined, name: string, to: string): Rumour | undefined {
  return step?.send
    .filter((one) => one.to === to)
    .flatMap((one) => one.message.rumours ?? [])
    .find((one) => one.name === name)
}
