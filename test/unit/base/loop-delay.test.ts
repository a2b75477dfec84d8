import { expect } from 'chai'
import { Histogram } from '../../../src/base/histogram.ts'
import { LoopDelay, loopDelayBoundsMs } from '../../../src/base/loop-delay.ts'
import { ManualClock } from '../../support/manual-clock.ts'

describe('the delay of a thread', () => {
  it('is how much later than due it is found awake, for each look anew', () => {
    const clock = new ManualClock()
    let late = 0
    const sluggish = Object.assign(Object.create(clock), {
      monotonic: () => clock.monotonic(),
      after: (ms: number, call: () => void) => clock.after(ms + late, call),
    })
    const histogram = new Histogram(loopDelayBoundsMs)
    const delay = new LoopDelay(sluggish, histogram)
    delay.start()
    clock.advance(100)
    expect([histogram.count, histogram.sum]).to.deep.equal([1, 0])
    late = 250
    // The look that was set before is on time still.
    clock.advance(100 + 350)
    expect([histogram.count, histogram.sum]).to.deep.equal([3, 250])
    expect(histogram.counts[loopDelayBoundsMs.indexOf(500)]).to.equal(1)
    delay.stop()
    clock.advance(10_000)
    expect(histogram.count).to.equal(3)
  })
})
