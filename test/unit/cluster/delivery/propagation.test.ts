import { expect } from 'chai'
import { momentOf } from '../../../../src/base/clock.ts'
import { Propagation } from '../../../../src/cluster/delivery/propagation.ts'
import type { LogEvent } from '../../../../src/event-log/event.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

describe('propagation', () => {
  const event = (at: number): LogEvent => ({
    position: 1,
    first: 1,
    digest: 'd',
    body: `{"at": ${at}, "new": {"at": 1}, "entity": "apis"}`,
  })

  it('is measured by the clock of the database, for each path by itself', () => {
    const clock = new ManualClock()
    const propagation = new Propagation(clock)
    propagation.record([event(5_000)], 'push')
    expect(propagation.lastMs, 'the clock is not known yet').to.deep.equal({})
    const sentAt = momentOf(clock)
    clock.advance(20)
    // When this machine's clock showed 10, most likely.
    propagation.tell(5_010, sentAt)
    clock.advance(5)
    propagation.record([event(5_000)], 'push')
    propagation.record([event(4_000)], 'pull')
    expect(propagation.lastMs).to.deep.equal({ push: 25, pull: 1025 })
    const { push, notify } = propagation.histograms
    expect([push.count, push.sum, notify.count]).to.deep.equal([1, 25, 0])
    expect(push.counts[push.bounds.indexOf(50)]).to.equal(1)
  })

  it('is never negative, whatever the clocks show', () => {
    const propagation = new Propagation(new ManualClock())
    propagation.tell(0, { monotonic: 0, wall: 0 })
    propagation.record([event(7)], 'notify')
    expect(propagation.lastMs).to.deep.equal({ notify: 0 })
  })
})
