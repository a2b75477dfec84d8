import { expect } from 'chai'
import { momentOf } from '../../../src/base/clock.ts'
import { Deadline, deadlineBuffer } from '../../../src/base/deadline.ts'
import { ManualClock } from '../../support/manual-clock.ts'

describe('a deadline', () => {
  /** A machine's two clocks: while it sleeps only the wall clock goes on. */
  class SleepyClock extends ManualClock {
    sleptMs = 0
    override now(): number {
      return super.now() + this.sleptMs
    }
  }

  it('has passed until it is set, and is seen by all who share its buffer', () => {
    const clock = new SleepyClock()
    clock.advance(1000)
    const buffer = deadlineBuffer()
    const [setter, reader] = [new Deadline(buffer, clock), new Deadline(buffer, clock)]
    expect(reader.hasPassed()).to.equal(true)
    const { monotonic, wall } = momentOf(clock)
    setter.set({ monotonic: monotonic + 50, wall: wall + 50 })
    expect(reader.hasPassed()).to.equal(false)
    clock.advance(51)
    expect(reader.hasPassed()).to.equal(true)
    setter.set({ monotonic: monotonic + 90, wall: wall + 90 })
    expect(reader.hasPassed()).to.equal(false)
    setter.clear()
    expect(reader.hasPassed()).to.equal(true)
  })

  it('has passed once the machine slept for longer, or its clock was set back', () => {
    const clock = new SleepyClock()
    const deadline = new Deadline(deadlineBuffer(), clock)
    deadline.set({ monotonic: 50, wall: 50 })
    clock.sleptMs = 60
    expect(deadline.hasPassed()).to.equal(true)
    clock.sleptMs = -1000
    expect(deadline.hasPassed()).to.equal(false)
    clock.advance(51)
    expect(deadline.hasPassed()).to.equal(true)
  })
})
