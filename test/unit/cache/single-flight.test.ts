import { expect } from 'chai'
import { codeOf, TroopError } from '../../../src/base/errors.ts'
import { type Attempt, Cache } from '../../../src/cache/cache.ts'

function setUp({ flightsMax = 10, waitersMax = 100 } = {}) {
  const cache = new Cache<string>({ maxBytes: 100_000 })
  const sent: Attempt<string, string>[] = []
  const at = { position: 1 }
  const flights = cache.flights<string>({
    position: () => at.position,
    send: (attempt) => sent.push(attempt),
    flightsMax,
    waitersMax,
  })
  const join = (key: string, isWaiting?: () => boolean) => flights.join(key, `query ${key}`, isWaiting)
  return { cache, flights, sent, at, join, last: () => sent.at(-1) as Attempt<string, string> }
}

const failure = (promise: Promise<unknown>) => promise.then(() => 'no error', codeOf)

describe('single flight', () => {
  it('asks once however many wait, and keeps the answer before any of them has it', async () => {
    const { cache, sent, join, last } = setUp()
    const all = [join('a'), join('a'), join('a')]
    expect(sent).to.have.length(1)
    last().land('value', 1)
    expect(cache.peek('a')?.value).to.equal('value')
    for (const landed of await Promise.all(all)) expect(landed.value).to.equal('value')
  })

  it('asks again when an event overtakes the answer, and hands out only what is as new as the event', async () => {
    const { cache, sent, at, join, last } = setUp()
    const early = join('a')
    at.position = 2
    cache.drop('a', 2)
    const late = join('a')
    last().land('stale', 1)
    expect(cache.peek('a')).to.equal(undefined)
    expect(sent.map(({ round }) => round)).to.deep.equal([0, 1])
    last().land('fresh', 2)
    expect([(await early).value, (await late).value]).to.deep.equal(['fresh', 'fresh'])
  })

  it('tells the newest position at which the answer is known to be right', async () => {
    const { at, join, last } = setUp()
    const behind = join('a')
    at.position = 7
    last().land('value', 1)
    expect((await behind).position).to.equal(7)
    const ahead = join('b')
    last().land('value', 9)
    expect((await ahead).position).to.equal(9)
  })

  it('gives up after a bounded number of answers that are too old', async () => {
    const { sent, join, last } = setUp()
    const waiting = failure(join('a'))
    for (let n = 0; n < 6; n++) last().land('stale', 0)
    expect(await waiting).to.equal('floor-not-reached')
    expect(sent).to.have.length(6)
  })

  it('asks for a bounded number of keys at once and for the others in turn', async () => {
    const { sent, join } = setUp({ flightsMax: 2 })
    const all = ['a', 'b', 'c', 'd'].map((key) => join(key))
    expect(sent.map(({ key }) => key)).to.deep.equal(['a', 'b'])
    sent[0]?.land('A', 1)
    sent[1]?.fail(new TroopError('datastore-error', 'refused'))
    expect(sent.map(({ key }) => key)).to.deep.equal(['a', 'b', 'c', 'd'])
    sent[2]?.land('C', 1)
    sent[3]?.land('D', 1)
    const outcomes = await Promise.allSettled(all)
    expect(outcomes.map(({ status }) => status)).to.deep.equal([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
  })

  it('refuses at once whoever comes when too many wait, and takes callers again later', async () => {
    const { join, last } = setUp({ waitersMax: 2 })
    const all = [join('a'), join('a')]
    expect(await failure(join('b'))).to.equal('loads-busy')
    last().land('value', 1)
    await Promise.all(all)
    const again = join('b')
    last().land('value', 1)
    expect((await again).value).to.equal('value')
  })

  it('keeps no error', async () => {
    const { cache, sent, join, last } = setUp()
    const first = failure(join('a'))
    last().fail(new TroopError('datastore-away', 'gone'))
    expect(await first).to.equal('datastore-away')
    expect(cache.peek('a')).to.equal(undefined)
    const second = join('a')
    expect(sent).to.have.length(2)
    last().land('value', 1)
    expect((await second).value).to.equal('value')
  })

  it('lets a purged entry stand in only while the datastore is away', async () => {
    const { cache, join, last } = setUp()
    const filled = join('a')
    last().land('kept', 1)
    await filled
    cache.purge(1)
    const away = join('a')
    last().fail(new TroopError('datastore-away', 'gone'))
    expect(await away).to.deep.equal({ value: 'kept', position: 1, standIn: true })
    expect(cache.get('a'), 'still purged').to.equal(undefined)
    const refused = failure(join('a'))
    last().fail(new TroopError('datastore-error', 'no such column'))
    expect(await refused).to.equal('datastore-error')
  })

  it('serves those who waited through a reset by a new load, even to a lower position', async () => {
    const { cache, flights, sent, at, join, last } = setUp()
    at.position = 50
    const waiting = join('a')
    const before = last()
    cache.reset()
    at.position = 3
    flights.restart()
    before.land('of the other history', 60)
    expect(cache.peek('a')).to.equal(undefined)
    expect(sent).to.have.length(2)
    last().land('of this one', 3)
    expect(await waiting).to.include({ value: 'of this one', position: 3 })
  })

  it('ends a flight that nobody waits for instead of asking again', async () => {
    const { cache, sent, join, last } = setUp()
    let waits = true
    const waiting = failure(join('a', () => waits))
    cache.drop('a', 2)
    waits = false
    last().land('stale', 1)
    expect(await waiting).to.equal('load-abandoned')
    expect(sent).to.have.length(1)
  })
})
