import { expect } from 'chai'
import { Pace, type Pacing } from '../../../src/proxy/inbound/pace.ts'

const pacing: Pacing = { graceMs: 1000, bytesPerSecond: 100 }

describe('Pace', () => {
  /** When it is found too slow, looked at each 100 ms, with so many bytes in each; undefined: not in 100 s. */
  function slowAt(bytesPerLook: (at: number) => number, how = pacing): number | undefined {
    const pace = new Pace()
    pace.restart(0, 0)
    let bytes = 0
    for (let at = 100; at <= 100_000; at += 100) {
      bytes += bytesPerLook(at)
      if (pace.isTooSlow(bytes, at, how)) return at
    }
    return undefined
  }

  it('who stands still is too slow after the grace, at any rate', () => {
    expect(slowAt(() => 0)).equal(1000)
    expect(slowAt(() => 0, { ...pacing, bytesPerSecond: 0 })).equal(1000)
  })

  it('time is taken off from the first look on, however late that is', () => {
    const pace = new Pace()
    const looks = [1e9, 1e9 + 999, 1e9 + 1000]
    expect(looks.map((at) => pace.isTooSlow(0, at, pacing))).deep.equal([false, false, true])
  })

  it('a trickle below the rate only puts it off, one at the rate goes on for ever', () => {
    expect(slowAt(() => 5)).equal(2000)
    expect(slowAt(() => 9)).equal(10_000)
    expect(slowAt(() => 10)).equal(undefined)
  })

  it('without a rate one byte in a grace is enough', () => {
    expect(slowAt((at) => (at % 900 === 0 ? 1 : 0), { ...pacing, bytesPerSecond: 0 })).equal(undefined)
  })

  it('what was fast before is no licence: nobody has more than the grace left', () => {
    expect(slowAt((at) => (at <= 5000 ? 1_000_000 : 0))).equal(6000)
  })

  it('lumps are as good as a steady flow, as long as they come within the grace', () => {
    expect(slowAt((at) => (at % 900 === 0 ? 90 : 0))).equal(undefined)
  })

  it('what happens while it is not their turn does not count', () => {
    const pace = new Pace()
    pace.restart(0, 0)
    expect(pace.isTooSlow(0, 900, pacing)).equal(false)
    pace.restart(0, 5000)
    expect(pace.isTooSlow(0, 5900, pacing)).equal(false)
    expect(pace.isTooSlow(0, 6000, pacing)).equal(true)
  })
})
