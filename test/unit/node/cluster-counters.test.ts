import { expect } from 'chai'
import { periods } from '../../../src/base/calendar.ts'
import type { LogFields } from '../../../src/base/logger.ts'
import type { BatchAnswer, BatchAsk } from '../../../src/node/counters/batch.ts'
import { ClusterCounters } from '../../../src/node/counters/cluster-counters.ts'
import type { Tally } from '../../../src/plugins/plugin.ts'
import { askFor } from '../../support/counting-suite.ts'
import { collect } from '../../support/gateway.ts'
import { ManualClock } from '../../support/manual-clock.ts'

/** A datastore with one counter, of a window of a minute, that answers when it is told to. */
class Datastore {
  used = 0
  leftMs = 60_000
  readonly batches: (readonly BatchAsk[])[] = []
  readonly #held: { answer(): void; fail(error: Error): void }[] = []

  readonly count = (asks: readonly BatchAsk[]): Promise<readonly BatchAnswer[]> => {
    this.batches.push(asks)
    return new Promise((resolve, reject) => {
      this.#held.push({ answer: () => resolve(asks.map((ask) => this.#countOne(ask))), fail: reject })
    })
  }

  /** Answers the batch under way, and lets what follows from it happen. */
  async answer(): Promise<void> {
    this.#held.shift()?.answer()
    await settled()
  }

  async fail(): Promise<void> {
    this.#held.shift()?.fail(new Error('away'))
    await settled()
  }

  #countOne({ limits, wanted, forced }: BatchAsk): BatchAnswer {
    this.used += forced
    const most = Math.min(...limits.flatMap((limit) => limit ?? []))
    const granted = Math.min(wanted, Math.max(0, most - this.used))
    this.used += granted
    return { granted, used: periods.map(() => this.used), leftMs: periods.map(() => this.leftMs) }
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('cluster counters', () => {
  let clock: ManualClock
  let datastore: Datastore
  let counters: ClusterCounters
  let lines: { sentence: string; fields: LogFields }[]

  beforeEach(() => {
    clock = new ManualClock()
    datastore = new Datastore()
    lines = []
    counters = new ClusterCounters({ count: datastore.count, clock, logger: collect(lines) })
  })

  const take = (minute: number, more = {}) => counters.take(askFor({ minute }, more))
  const ahead = (minute: number) => take(minute, { ahead: true })
  const sizes = () =>
    datastore.batches.map((asks) => asks.map(({ wanted, forced }) => [wanted, forced] as const))

  it('however many come while a batch is under way, they are one ask in the next', async () => {
    const taken = Array.from({ length: 100 }, () => take(30))
    expect(sizes()).deep.equal([[[1, 0]]])
    await datastore.answer()
    expect(sizes()).deep.equal([[[1, 0]], [[99, 0]]])
    await datastore.answer()
    const tallies = await Promise.all(taken)
    expect(tallies.map(({ counted }) => counted)).deep.equal(tallies.map((_, i) => i < 30))
    expect(tallies.slice(0, 30).map(({ used }) => used.minute)).deep.equal(
      Array.from({ length: 30 }, (_, i) => i + 1),
    )
  })

  it('different callers are asks of one batch, up to a bound', async () => {
    for (let i = 0; i < 500; i++) void take(30, { identifier: `caller-${i}` })
    for (let i = 0; i < 4; i++) await datastore.answer()
    expect(datastore.batches.map((asks) => asks.length)).deep.equal([1, 200, 200, 99])
  })

  it('one with another limit is an ask of its own', async () => {
    void take(30)
    void take(30)
    void take(40)
    await datastore.answer()
    expect(datastore.batches[1]?.map(({ limits }) => limits[1])).deep.equal([30, 40])
  })

  it('whoever is over the limit is refused without asking, for a second and no longer than the window', async () => {
    void take(1)
    await datastore.answer()
    expect(take(1)).deep.include({ counted: false }).and.nested.property('used.minute', 1)
    clock.advance(999)
    expect(take(1)).deep.include({ counted: false })
    expect(datastore.batches).length(1)
    clock.advance(1)
    void take(1)
    expect(datastore.batches).length(2)
  })

  it('nothing is believed of a window that is over, counted from when it was asked about', async () => {
    datastore.leftMs = 300
    void take(1)
    clock.advance(200)
    await datastore.answer()
    clock.advance(99)
    expect(take(1)).deep.include({ counted: false })
    clock.advance(1)
    expect(take(1)).instanceOf(Promise)
  })

  it('a batch that fails is an error for all in it, is said once in a while, and the next one is sent', async () => {
    const taken = [take(5), take(5), take(5)].map((tally) =>
      (tally as Promise<Tally>).catch(({ message }) => message),
    )
    await datastore.fail()
    await datastore.answer()
    const [first, second, third] = await Promise.all(taken)
    expect(first).equal('away')
    expect(second).deep.include({ counted: true }).and.nested.property('used.minute', 1)
    expect(third).nested.property('used.minute', 2)
    const again = (take(5) as Promise<Tally>).catch(({ message }) => message)
    await datastore.fail()
    expect(await again).equal('away')
    expect(lines.map(({ sentence }) => sentence)).deep.equal(['requests could not be counted'])
  })

  describe('ahead', () => {
    it('the first request waits, those after it pass at once and are counted together a moment later', async () => {
      const first = ahead(30)
      expect(first).instanceOf(Promise)
      await datastore.answer()
      const passed = Array.from({ length: 9 }, () => ahead(30) as Tally)
      expect(passed.map(({ used }) => used.minute)).deep.equal([2, 3, 4, 5, 6, 7, 8, 9, 10])
      expect(datastore.batches).length(1)
      clock.advance(100)
      expect(sizes()[1]).deep.equal([[0, 9]])
      await datastore.answer()
      expect(datastore.used).equal(10)
    })

    it('no more pass than are left of what is known', async () => {
      void ahead(3)
      await datastore.answer()
      const outcomes = Array.from({ length: 4 }, () => (ahead(3) as Tally).counted)
      expect(outcomes).deep.equal([true, true, false, false])
    })

    it('what passed while a batch was under way is held against the answer', async () => {
      void ahead(10)
      await datastore.answer()
      for (let i = 0; i < 2; i++) ahead(10)
      clock.advance(100)
      for (let i = 0; i < 3; i++) ahead(10)
      await datastore.answer()
      expect((ahead(10) as Tally).used.minute).equal(7)
      clock.advance(100)
      await datastore.answer()
      expect(datastore.used).equal(7)
    })

    it('what others counted is seen with the next answer', async () => {
      void ahead(10)
      await datastore.answer()
      ahead(10)
      datastore.used += 8
      clock.advance(100)
      await datastore.answer()
      expect((ahead(10) as Tally).counted).equal(false)
    })

    it('after a second without an answer the next request waits for one', async () => {
      void ahead(10)
      await datastore.answer()
      clock.advance(1000)
      expect(ahead(10)).instanceOf(Promise)
    })

    it('what passed is counted before it stops', async () => {
      void ahead(10)
      await datastore.answer()
      for (let i = 0; i < 4; i++) ahead(10)
      const stopped = counters.stop()
      await datastore.answer()
      await stopped
      expect(datastore.used).equal(5)
    })

    it('stopping does not wait for what can’t be counted', async () => {
      void ahead(10)
      await datastore.answer()
      ahead(10)
      const stopped = counters.stop()
      await datastore.fail()
      await stopped
    })
  })
})
