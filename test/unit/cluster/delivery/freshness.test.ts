import { expect } from 'chai'
import { later, momentOf } from '../../../../src/base/clock.ts'
import { Deadline, deadlineBuffer } from '../../../../src/base/deadline.ts'
import type { Stamp } from '../../../../src/base/stamp.ts'
import { Freshness } from '../../../../src/cluster/delivery/freshness.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const at = (position: number, history = 'a'): Stamp => ({ position, digest: history.repeat(64) })

describe('freshness', () => {
  const make = (position = 5) => {
    const clock = new ManualClock()
    clock.advance(1000)
    let applied = at(position)
    const past = new Map([[applied.position, applied.digest]])
    const deadline = new Deadline(deadlineBuffer(), clock)
    const freshness = new Freshness(
      { applied: () => applied, digestAt: (one) => past.get(one), clock },
      { maxStalenessMs: 100, deadline },
    )
    freshness.lease(later(momentOf(clock), 60_000))
    const apply = (stamp: Stamp) => {
      past.set(stamp.position, stamp.digest)
      freshness.applied(stamp)
      applied = stamp
    }
    return { clock, deadline, freshness, apply, now: () => momentOf(clock) }
  }

  it('is as of the time at which the read was sent, not of its answer', () => {
    const { clock, freshness, deadline, now } = make()
    expect(freshness.ageMs).to.equal(undefined)
    expect(deadline.hasPassed()).to.equal(true)
    const sentAt = now()
    clock.advance(30)
    freshness.note(at(5), sentAt)
    expect(freshness.ageMs).to.equal(30)
    clock.advance(70)
    expect(deadline.hasPassed()).to.equal(false)
    clock.advance(1)
    expect(deadline.hasPassed()).to.equal(true)
  })

  it('comes from a head that is ahead only once that is applied', () => {
    const { clock, freshness, apply, now } = make()
    const sentAt = now()
    freshness.note(at(7), sentAt)
    apply(at(6))
    expect(freshness.ageMs).to.equal(undefined)
    clock.advance(20)
    apply(at(7))
    expect(freshness.ageMs).to.equal(20)
  })

  it('never comes from another history, nor from what was jumped over', () => {
    const { freshness, apply, now } = make()
    freshness.note(at(5, 'b'), now())
    freshness.note(at(7, 'b'), now())
    freshness.note(at(8), now())
    apply(at(7))
    apply(at(9))
    expect(freshness.ageMs).to.equal(undefined)
  })

  it('is not made older by what is known later of an earlier time', () => {
    const { clock, freshness, now } = make()
    freshness.note(at(5), now())
    freshness.note(at(5), later(now(), -50))
    clock.advance(10)
    expect(freshness.ageMs).to.equal(10)
  })

  it('serves nobody after the registration is over, however fresh, until it stands again', () => {
    const { freshness, deadline, now } = make()
    freshness.note(at(5), now())
    expect(deadline.hasPassed()).to.equal(false)
    freshness.lease(undefined)
    expect(deadline.hasPassed()).to.equal(true)
    freshness.lease(later(now(), -1))
    expect(deadline.hasPassed()).to.equal(true)
    freshness.lease(later(now(), 1000))
    expect(deadline.hasPassed()).to.equal(false)
  })

  it('is gone with the history that it was of', () => {
    const { freshness, deadline, apply, now } = make()
    freshness.note(at(5), now())
    freshness.note(at(6), now())
    freshness.forget()
    expect(deadline.hasPassed()).to.equal(true)
    apply(at(6))
    expect(freshness.ageMs).to.equal(undefined)
  })
})
