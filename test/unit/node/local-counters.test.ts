import { expect } from 'chai'
import { type Period, windowEndsAt } from '../../../src/base/calendar.ts'
import type { LogFields } from '../../../src/base/logger.ts'
import { LocalCounters, localCountersBuffer } from '../../../src/node/counters/local-counters.ts'
import type { Ask, Tally } from '../../../src/plugins/plugin.ts'
import { askFor, countingSuite } from '../../support/counting-suite.ts'
import { collect } from '../../support/gateway.ts'
import { ManualClock } from '../../support/manual-clock.ts'

describe('local counters', () => {
  let clock: ManualClock
  let lines: { sentence: string; fields: LogFields }[]

  function countersOf(buffer: SharedArrayBuffer): LocalCounters {
    return new LocalCounters({ buffer, owner: 1, clock, logger: collect(lines) })
  }

  /** Nobody holds a lock here, so it is told at once. */
  const take = (counters: LocalCounters, ask: Ask) => counters.take(ask) as Tally

  const pass = (period: Period) => clock.advance(windowEndsAt(period, clock.now()) - clock.now())

  beforeEach(() => {
    clock = new ManualClock()
    clock.advance(Date.parse('2024-01-15T12:34:56.789Z'))
    lines = []
  })

  describe('count', () =>
    countingSuite(async () => ({ counting: countersOf(localCountersBuffer(1000)), pass })))

  it('every window of every period begins anew', () => {
    const counters = countersOf(localCountersBuffer(1000))
    for (const period of ['second', 'minute', 'hour', 'day', 'month', 'year'] as const) {
      const ask = askFor({ [period]: 1 }, { identifier: period })
      expect(take(counters, ask).counted, period).equal(true)
      clock.advance(windowEndsAt(period, clock.now()) - clock.now() - 1)
      expect(take(counters, ask).counted, period).equal(false)
      clock.advance(1)
      expect(take(counters, ask).counted, period).equal(true)
    }
  })

  it('a clock that is set back begins its windows anew', () => {
    const counters = countersOf(localCountersBuffer(1000))
    const ask = askFor({ minute: 1 })
    expect(take(counters, ask).counted).equal(true)
    clock.advance(-3_600_000)
    expect(take(counters, ask).counted).equal(true)
    expect(take(counters, ask).counted).equal(false)
  })

  it('those of another thread over the same memory are the same', () => {
    const buffer = localCountersBuffer(1000)
    const [one, other] = [countersOf(buffer), countersOf(buffer)]
    expect(take(one, askFor({ year: 1 })).counted).equal(true)
    expect(take(other, askFor({ year: 1 })).counted).equal(false)
  })

  describe('in a flood of callers', () => {
    const flood = (counters: LocalCounters, from: number, to: number, limits = { year: 100 }) => {
      for (let i = from; i < to; i++) take(counters, askFor(limits, { identifier: `caller-${i}` }))
    }

    it('stay in the memory that they have, and never forget who is near a limit', () => {
      const buffer = localCountersBuffer(1000)
      const counters = countersOf(buffer)
      const { byteLength } = buffer
      for (let i = 0; i < 99; i++) take(counters, askFor({ year: 100 }))
      flood(counters, 0, 50_000)
      expect(take(counters, askFor({ year: 100 })).used.year).equal(100)
      expect(take(counters, askFor({ year: 100 })).counted).equal(false)
      expect(buffer.byteLength).equal(byteLength).and.lessThan(100_000)
    })

    it('forget those with the fewest requests, and say so once in a while', () => {
      const counters = countersOf(localCountersBuffer(8))
      for (let i = 0; i < 8; i++) flood(counters, 0, i + 1)
      const used = (i: number) =>
        take(counters, askFor({ year: 100 }, { identifier: `caller-${i}` })).used.year
      flood(counters, 8, 9)
      expect(used(0)).equal(9)
      expect(lines.map(({ sentence }) => sentence)).deep.equal([
        'more callers than can be counted: those with the fewest requests are forgotten',
      ])
      // The ninth took the place of the eighth, which had one request.
      expect(used(7)).equal(1)
      clock.advance(10_000)
      flood(counters, 9, 11)
      expect(lines.at(-1)?.fields.keptBack).equal(1)
    })

    it('reuse what is over before anything else', () => {
      const counters = countersOf(localCountersBuffer(1000))
      for (let second = 0; second < 50; second++) {
        flood(counters, second * 100, (second + 1) * 100, { second: 1 } as never)
        clock.advance(1000)
      }
      expect(lines).deep.equal([])
    })
  })
})
