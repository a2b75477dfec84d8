import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { Cache, cacheCounterNames, estimateBytes } from '../../../src/cache/cache.ts'

const roomy = { maxBytes: 1_000_000 }

/** Fills as a flight that started at `position` would. */
function put<T>(cache: Cache<T>, key: string, value: T | null, position: number): void {
  cache.fill(key, value, position, cache.floors.open(key, position))
}

describe('cache', () => {
  it('tells a known absence from a miss', () => {
    const cache = new Cache<string>(roomy)
    put(cache, 'a', null, 5)
    expect(cache.get('a')).to.include({ value: null, position: 5 })
    expect(cache.get('b')).to.equal(undefined)
    expect(cache.counters).to.include({ hits: 1, misses: 1, fills: 1, entries: 1 })
  })

  it('counts where it is told to, on from what was counted there before, but for what it holds', () => {
    const counters = new Float64Array(cacheCounterNames.length)
    for (let i = 0; i < 2; i++) {
      const cache = new Cache<string>({ ...roomy, counters })
      put(cache, 'a', 'value', 5)
      cache.get('a')
      cache.get('b')
      cache.purge(5)
    }
    const { counters: counts } = new Cache<string>({ ...roomy, counters })
    expect(counts).to.include({ hits: 2, misses: 2, fills: 2, purges: 2, bytes: 0, entries: 0 })
  })

  it('leaves an entry alone when an event at or below its stamp comes late', () => {
    const cache = new Cache<string>(roomy)
    put(cache, 'a', 'newer', 5)
    cache.drop('a', 4)
    cache.drop('a', 5)
    cache.replace('a', () => 'older', 5)
    cache.dropAll('a', 5)
    expect(cache.get('a')?.value).to.equal('newer')
    cache.drop('a', 6)
    expect(cache.get('a')).to.equal(undefined)
  })

  it('does not keep a fill that began before an event of its key', () => {
    const cache = new Cache<string>(roomy)
    for (const event of ['drop', 'replace', 'drop-all', 'purge']) {
      const floor = cache.floors.open('a', 3)
      if (event === 'drop') cache.drop('a', 4)
      if (event === 'replace') cache.replace('a', () => 'x', 4)
      if (event === 'drop-all') cache.dropAll('a', 4)
      if (event === 'purge') cache.purge(4)
      expect(cache.fill('a', 'old', 3, floor), event).to.equal(undefined)
      expect(cache.get('a'), event).to.equal(undefined)
    }
    expect(cache.counters.refusedByFloor).to.equal(4)
  })

  it('keeps a fill that began before an event of another key', () => {
    const cache = new Cache<string>(roomy)
    const floor = cache.floors.open('a', 3)
    cache.drop('b', 4)
    expect(cache.fill('a', 'value', 3, floor)?.value).to.equal('value')
  })

  it('never puts an older fill over a newer entry, and answers with the newer', () => {
    const cache = new Cache<string>(roomy)
    const floor = cache.floors.open('a', 1)
    put(cache, 'a', 'newer', 5)
    expect(cache.fill('a', 'older', 3, floor)).to.include({ value: 'newer', position: 5 })
    expect(cache.get('a')?.value).to.equal('newer')
  })

  it('replaces what is held and makes nothing that is not', () => {
    const cache = new Cache<string>(roomy)
    put(cache, 'a', null, 1)
    cache.replace('a', () => 'made', 2)
    cache.replace('b', () => 'made', 2)
    expect(cache.get('a')).to.include({ value: 'made', position: 2 })
    expect(cache.get('b')).to.equal(undefined)
  })

  it('counts everything as absent after a purge, yet applies events to what was purged', () => {
    const cache = new Cache<string>(roomy)
    for (const key of ['a', 'b', 'c']) put(cache, key, 'old', 1)
    cache.purge(2)
    expect(cache.get('a')).to.equal(undefined)
    expect(cache.peek('a')).to.equal(undefined)
    cache.replace('b', () => 'new', 3)
    cache.drop('c', 3)
    expect(cache.get('b'), 'an event proves only what it says, not the join').to.equal(undefined)
    expect(cache.peekPurged('a')?.value).to.equal('old')
    expect(cache.peekPurged('b')?.value).to.equal('new')
    expect(cache.peekPurged('c')).to.equal(undefined)
    put(cache, 'a', 'proven', 3)
    expect(cache.get('a')?.value).to.equal('proven')
    expect(cache.peekPurged('a')).to.equal(undefined)
  })

  it('tells all its keys, however long that takes and whatever is used, added or dropped meanwhile', () => {
    const cache = new Cache<string>(roomy)
    for (const key of ['a', 'b', 'c', 'd', 'e']) put(cache, key, key, 1)
    const keys = cache.keys()
    const told = [keys.next().value]
    cache.purge(1)
    put(cache, 'b', 'moved', 2)
    put(cache, 'f', 'new', 2)
    cache.drop('c', 2)
    told.push(...keys)
    expect(new Set(told)).to.deep.equal(new Set(['a', 'b', 'd', 'e', 'f']))
  })

  it('deletes everything at a reset, and lets no open flight in, whatever its position', () => {
    const cache = new Cache<string>(roomy)
    put(cache, 'a', 'x', 9)
    const floor = cache.floors.open('b', 1)
    cache.reset()
    expect(cache.counters).to.include({ bytes: 0, entries: 0 })
    expect(cache.peek('a')).to.equal(undefined)
    expect(cache.fill('b', 'y', 99, floor)).to.equal(undefined)
    put(cache, 'a', 'lower', 2)
    expect(cache.get('a')?.value).to.equal('lower')
  })

  it('stays within its bound and uses most of it, whatever the sizes', () => {
    const maxBytes = 400_000
    const cache = new Cache<string>({ maxBytes })
    for (let n = 0; n < 20_000; n++) {
      put(cache, `key:${n % 7000}`, 'x'.repeat((n * 7919) % 3000), n)
      if (n % 3 === 0) cache.replace(`key:${(n - 5) % 7000}`, () => 'y'.repeat((n * 31) % 3000), n + 1)
      expect(cache.counters.bytes).to.be.at.most(maxBytes)
      if (n > 1000) expect(cache.counters.bytes).to.be.at.least(maxBytes * 0.85)
    }
    expect(cache.counters.evictions).to.be.above(1000)
  })

  it('counts its bytes exactly through fills, changes, drops and evictions', () => {
    const cache = new Cache<string>({ maxBytes: 50_000 })
    const keys = Array.from({ length: 400 }, (_, n) => `key:${n}`)
    keys.forEach((key, n) => {
      put(cache, key, 'v'.repeat(n), n)
      if (n % 5 === 0) cache.drop(`key:${n - 3}`, 1000)
      if (n % 7 === 0) cache.replace(`key:${n - 2}`, () => 'w', 1000)
      if (n % 11 === 0) cache.forget(`key:${n - 1}`)
    })
    const held = keys.flatMap((key) => cache.peek(key)?.value?.length ?? []).length
    const bytes = keys.reduce((sum, key) => {
      const entry = cache.peek(key)
      return entry ? sum + estimateBytes(key, entry.value) : sum
    }, 0)
    expect(cache.counters).to.include({ bytes, entries: held })
  })

  it('evicts what was not used, and what was purged before what came after', () => {
    const cache = new Cache<string>({ maxBytes: 40_000 })
    for (let n = 0; n < 50; n++) put(cache, `purged:${n}`, 'x', 1)
    cache.purge(2)
    put(cache, 'hot', 'x', 2)
    for (let n = 0; cache.counters.evictions === 0; n++) {
      put(cache, `filler:${n}`, 'x', 2)
      cache.get('hot')
    }
    expect(cache.peekPurged('purged:0')).to.equal(undefined)
    expect(cache.peek('filler:0')).to.not.equal(undefined)
    for (let n = 0; n < 1000; n++) {
      put(cache, `more:${n}`, 'x', 2)
      expect(cache.get('hot')?.value).to.equal('x')
    }
    expect(cache.peek('filler:0')).to.equal(undefined)
  })

  it('does not keep an entry that is a large part of it', () => {
    const cache = new Cache<string>({ maxBytes: 100_000 })
    put(cache, 'small', 'x', 1)
    put(cache, 'grows', 'x', 1)
    put(cache, 'large', 'x'.repeat(20_000), 1)
    cache.replace('grows', () => 'x'.repeat(20_000), 2)
    expect(cache.peek('large')).to.equal(undefined)
    expect(cache.peek('grows')).to.equal(undefined)
    expect(cache.peek('small')?.value).to.equal('x')
  })

  it('estimates the heap that typical entries take', () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
    const row = (n: number) => ({ id: id(n), key: id(n), created_at: 1.7e12 + n, consumer_id: id(n) })
    for (const rows of [0, 1, 3]) {
      const cache = new Cache<unknown>({ maxBytes: 1e9 })
      collect()
      const before = process.memoryUsage().heapUsed
      for (let n = 0; n < 30_000; n++) {
        const list = Array.from({ length: rows }, (_, i) => row(n * 4 + i))
        put(cache, `plugins:${id(n)}`, JSON.parse(JSON.stringify(list)), n)
        cache.floors.discardAll()
      }
      collect()
      const ratio = cache.counters.bytes / (process.memoryUsage().heapUsed - before)
      expect(ratio, `lists of ${rows}`).to.be.within(0.75, 1.3)
    }
  })
})
