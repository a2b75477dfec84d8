// What holds for whoever counts requests, on one node or on all.
import { expect } from 'chai'
import type { Period } from '../../src/base/calendar.ts'
import type { Ask, Counting, Tally } from '../../src/plugins/plugin.ts'

export interface CountingUnderTest {
  readonly counting: Counting
  /** Goes on to the next window of this period, and of all shorter ones. */
  readonly pass: (period: Period) => void | Promise<void>
}

export const anApi = '00000000-0000-4000-8000-000000000001'
export const otherApi = '00000000-0000-4000-8000-000000000002'

export function askFor(limits: Ask['limits'], more: Partial<Ask> = {}): Ask {
  return { table: 'ratelimiting_metrics', api: anApi, identifier: 'bob', limits, ...more }
}

/** @param make  called before each test; counts nothing yet */
export function countingSuite(make: () => Promise<CountingUnderTest>): void {
  let counting: Counting
  let pass: CountingUnderTest['pass']

  beforeEach(async () => {
    const made = await make()
    counting = made.counting
    pass = made.pass
  })

  const take = async (limits: Ask['limits'], more?: Partial<Ask>): Promise<Tally> =>
    counting.take(askFor(limits, more))
  const counted = async (...args: Parameters<typeof take>) => (await take(...args)).counted

  it('a request counts in all six periods, whatever has a limit [contract 367]', async () => {
    const ones = { second: 1, minute: 1, hour: 1, day: 1, month: 1, year: 1 }
    expect(await take({ year: 5 })).deep.equal({ counted: true, used: ones })
  })

  it('so many pass as the limit says, and not one more', async () => {
    const outcomes = []
    for (let i = 0; i < 5; i++) outcomes.push(await take({ year: 3 }))
    expect(outcomes.map(({ counted }) => counted)).deep.equal([true, true, true, false, false])
    expect(outcomes.map(({ used }) => used.year)).deep.equal([1, 2, 3, 3, 3])
  })

  it('of those that come at once exactly so many pass, each told its own place', async () => {
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => take({ month: 20, year: 100 })))
    const passed = outcomes.filter(({ counted }) => counted)
    expect(passed.map(({ used }) => used.year)).deep.equal(Array.from({ length: 20 }, (_, i) => i + 1))
    expect(await counted({ year: 21 })).equal(true)
  })

  it('one limit that is used up is enough, and what is refused counts in no period', async () => {
    expect(await counted({ day: 1, year: 2 })).equal(true)
    expect(await counted({ day: 1, year: 2 })).equal(false)
    expect((await take({ year: 2 })).used.year).equal(2)
  })

  it('a window that ends begins anew, the longer ones go on [contract 367]', async () => {
    for (const [shorter, longer] of [
      ['minute', 'hour'],
      ['day', 'month'],
    ] as const) {
      const identifier = shorter
      const limits = { [shorter]: 1, [longer]: 2 }
      expect(await counted(limits, { identifier })).equal(true)
      expect(await counted(limits, { identifier })).equal(false)
      await pass(shorter)
      const { counted: again, used } = await take(limits, { identifier })
      expect(again).equal(true)
      expect(used).include({ [shorter]: 1, [longer]: 2 })
      await pass(shorter)
      expect(await counted(limits, { identifier })).equal(false)
    }
  })

  it('what is read was counted, and reading counts nothing', async () => {
    const read = async () => (await counting.read(askFor({ year: 5 }))).year
    expect(await read()).equal(0)
    await take({ year: 5 })
    expect([await read(), await read()]).deep.equal([1, 1])
  })

  it('what is added counts in all periods, beyond a limit too, for whoever asks after that', async () => {
    counting.add(askFor({ day: 3 }), 2)
    expect(await counting.read(askFor({ day: 3 }))).include({ second: 2, day: 2, year: 2 })
    counting.add(askFor({ day: 3 }), 3)
    counting.add(askFor({ day: 3 }), 1)
    expect(await counting.read(askFor({ day: 3 }))).include({ day: 6, year: 6 })
    expect(await take({ day: 3 })).deep.include({ counted: false })
    await pass('day')
    expect(await counting.read(askFor({ day: 3 }))).include({ day: 0 })
  })

  it('callers and APIs are counted apart', async () => {
    expect(await counted({ year: 1 })).equal(true)
    expect(await counted({ year: 1 }, { identifier: 'eve' })).equal(true)
    expect(await counted({ year: 1 }, { api: otherApi })).equal(true)
    expect(await counted({ year: 1 })).equal(false)
  })

  it('a limit that changes is held against what was counted before', async () => {
    for (let i = 0; i < 3; i++) await take({ year: 3 })
    expect(await counted({ year: 3 })).equal(false)
    expect(await counted({ year: 4 })).equal(true)
    expect(await counted({ year: 2 })).equal(false)
    expect(await counted({ hour: 4, year: 9 })).equal(false)
  })

  it('a limit that is no whole number lets the request pass that goes over it', async () => {
    expect(await counted({ year: 1.5 })).equal(true)
    expect(await counted({ year: 1.5 })).equal(true)
    expect(await counted({ year: 1.5 })).equal(false)
  })
}
