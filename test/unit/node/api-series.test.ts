import { expect } from 'chai'
import type { Row } from '../../../src/base/json.ts'
import { ApiSeries } from '../../../src/node/api-series.ts'
import { ApiCounters, ApiPlaces, apiCountersLength } from '../../../src/proxy/api-counters.ts'

/** A node with two workers, and places for two APIs. */
class Counting {
  readonly rows = new Map<string, Row>()
  readonly #buffer = ApiPlaces.bufferFor(2)
  readonly #counted = [0, 1].map(() => new Float64Array(apiCountersLength(2)))
  readonly series = new ApiSeries({
    places: this.#buffer,
    rows: () => [...this.rows.values()],
    counted: this.#counted,
  })
  readonly workers = [0, 1].map((i) => this.#worker(i))

  /** One in the place of a dead one counts on where that left off. */
  replace(i: number): void {
    this.workers[i] = this.#worker(i)
  }

  seed(...rows: Row[]): void {
    this.rows.clear()
    for (const row of rows) this.rows.set(String(row.id), row)
    this.series.seed()
  }

  patch(id: string, row: Row | null): void {
    if (row) this.rows.set(id, row)
    else this.rows.delete(id)
    this.series.change({ position: 2, operations: [], patches: [{ id, row }] })
  }

  answer(i: number, id: string, status = 200, ms = 1): void {
    const counts = this.workers[i]?.of(id)
    counts?.answered(status)
    counts?.took('proxy', ms)
  }

  get answers(): Record<string, Record<string, number>> {
    const shown = [...this.series.read()].map(([name, { answers }]) => [name, Object.fromEntries(answers)])
    return Object.fromEntries(shown)
  }

  #worker(i: number): ApiCounters {
    return new ApiCounters(new ApiPlaces(this.#buffer), this.#counted[i])
  }
}

const api = (id: string, created_at = 1, name = `name-of-${id}`): Row => ({ id, name, created_at })

describe('the series of single APIs', () => {
  let counting: Counting

  beforeEach(() => {
    counting = new Counting()
  })

  it('are those of the oldest, over all workers; all others are shown as one', () => {
    counting.seed(api('c', 3), api('a', 1), api('b', 2))
    for (const id of ['a', 'b', 'c']) counting.answer(0, id)
    counting.answer(1, 'a')
    counting.answer(1, 'a', 502)
    counting.answer(1, 'nobody knows')
    expect(counting.answers).to.deep.equal({
      'name-of-a': { 200: 2, 502: 1 },
      'name-of-b': { 200: 1 },
      other: { 200: 2 },
    })
  })

  it('begin with the first request of an API that came later, if there is a place', () => {
    counting.seed()
    counting.answer(0, 'a')
    counting.patch('a', api('a'))
    counting.answer(0, 'a')
    expect(counting.answers).to.deep.equal({ 'name-of-a': { 200: 1 }, other: { 200: 1 } })
  })

  it('end with the API: what was counted goes to the others, and the next oldest has its place', () => {
    counting.seed(api('a', 1), api('b', 2), api('d', 4), api('c', 3))
    for (const id of ['a', 'b', 'c', 'd']) counting.answer(0, id)
    counting.patch('a', null)
    counting.answer(0, 'a')
    counting.answer(1, 'c')
    expect(counting.answers).to.deep.equal({
      'name-of-b': { 200: 1 },
      'name-of-c': { 200: 1 },
      other: { 200: 4 },
    })
  })

  it('begin anew with a new name, and do not fall to what another API had', () => {
    counting.seed(api('a'), api('b'))
    for (const id of ['a', 'a', 'b']) counting.answer(0, id)
    counting.patch('a', api('a', 1, 'new'))
    counting.answer(0, 'a')
    expect(counting.answers).to.deep.equal({ new: { 200: 1 }, 'name-of-b': { 200: 1 }, other: { 200: 2 } })
  })

  it('are kept by an API that is changed otherwise, or read again', () => {
    counting.seed(api('a'), api('b'))
    counting.answer(0, 'a')
    counting.patch('a', { ...api('a'), upstream_url: 'http://elsewhere' })
    counting.seed(api('z', 0), api('a'))
    counting.answer(0, 'a')
    counting.answer(0, 'b')
    expect(counting.answers).to.deep.equal({
      'name-of-a': { 200: 2 },
      'name-of-z': {},
      other: { 200: 1 },
    })
  })

  it('outlive a worker', () => {
    counting.seed(api('a'))
    counting.answer(0, 'a')
    counting.replace(0)
    counting.answer(0, 'a')
    expect(counting.answers['name-of-a']).to.deep.equal({ 200: 2 })
  })

  it('keep an API named as the others are apart from these', () => {
    counting.seed(api('a', 1, 'other'), api('b', 2, ''))
    for (const id of ['a', 'b', 'c']) counting.answer(0, id)
    expect(counting.answers).to.deep.equal({ a: { 200: 1 }, b: { 200: 1 }, other: { 200: 1 } })
  })

  it('add up to all that was ever counted, and the others never fall, whatever comes and goes', () => {
    const ids = ['a', 'b', 'c', 'd', 'e']
    const totals = () =>
      [...counting.series.read()].map(([name, counts]) => {
        const { count, sum } = counts.latency('proxy')
        return { name, count, sum }
      })
    let counted = 0
    let last = { count: 0, sum: 0 }
    counting.seed()
    for (let i = 0; i < 300; i++) {
      const id = ids[(i * i + 3 * i) % 5] as string
      if (i % 3 === 0) counting.patch(id, counting.rows.has(id) ? null : api(id, i))
      counting.answer(i % 2, ids[(i * 7) % 5] as string, 200, i / 7)
      counted++
      const shown = totals()
      const others = shown.at(-1) as typeof last
      expect(shown.reduce((sum, { count }) => sum + count, 0)).to.equal(counted)
      expect(others.count).to.be.at.least(last.count)
      expect(others.sum).to.be.at.least(last.sum)
      last = others
    }
  })
})
