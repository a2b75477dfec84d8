import { expect } from 'chai'
import { BenchClock } from '../../../src/testing/bench-clock.ts'

describe('the clock of a bench', () => {
  const clock = new BenchClock()
  const hour = 3_600_000

  it('is set to a time, and goes on from there', () => {
    clock.set('2030-01-01T00:00:00Z')
    expect(clock.now() - Date.UTC(2030, 0, 1)).to.be.within(0, 1000)
  })

  it('leaves durations alone when it is set, and moves them when it is advanced', () => {
    const before = clock.monotonic()
    clock.set('2031-01-01T00:00:00Z')
    expect(clock.monotonic() - before).to.be.below(1000)
    clock.advance(hour)
    expect(clock.monotonic() - before).to.be.within(hour, hour + 1000)
    expect(clock.now() - Date.UTC(2031, 0, 1, 1)).to.be.within(0, 1000)
  })

  it('calls what falls due when it is advanced, in order, each once, and nothing that was cancelled', () => {
    const called: string[] = []
    clock.after(2 * hour, () => called.push('second'))
    clock.after(hour, () => called.push('first'))
    clock.after(hour, () => called.push('never')).cancel()
    clock.after(9 * hour, () => called.push('later')).cancel()
    clock.advance(hour - 1000)
    expect(called).to.deep.equal([])
    clock.advance(2 * hour)
    clock.advance(2 * hour)
    expect(called).to.deep.equal(['first', 'second'])
  })

  it('wakes whoever sleeps, in its own time as well', async () => {
    const slept = clock.sleep(hour)
    clock.advance(hour)
    await slept
    await clock.sleep(1)
    await clock.sleep(hour, AbortSignal.abort())
  })

  it('refuses what is no time', () => {
    expect(() => clock.set('noon')).to.throw('"noon" is no time that Date can read')
  })
})
