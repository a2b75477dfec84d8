import { expect } from 'chai'
import fc from 'fast-check'
import { Cache, cacheCounterNames } from '../../../src/cache/cache.ts'
import { entryBytes } from '../../../src/cache/entry-size.ts'
import { heapUses } from '../../bench/memory.ts'

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

  it('replaces all that is under a prefix, what came, went and was purged since the last time too', () => {
    const cache = new Cache<string>(roomy)
    const replaced = (position: number) => {
      cache.replaceAll('a:', (value) => `${value}+`, position)
      return ['a:1', 'a:2', 'a:3', 'b:1'].map((key) => (cache.peek(key) ?? cache.peekPurged(key))?.value)
    }
    for (const key of ['a:1', 'a:2', 'b:1']) put(cache, key, key, 1)
    expect(replaced(2)).to.deep.equal(['a:1+', 'a:2+', undefined, 'b:1'])
    cache.forget('a:1')
    put(cache, 'a:3', 'a:3', 5)
    expect(replaced(5), 'one is as new').to.deep.equal([undefined, 'a:2++', 'a:3', 'b:1'])
    cache.purge(6)
    expect(replaced(7)).to.deep.equal([undefined, 'a:2+++', 'a:3+', 'b:1'])
    cache.reset()
    put(cache, 'a:1', 'new', 1)
    expect(replaced(2)).to.deep.equal(['new+', undefined, undefined, undefined])
  })

  it('does not keep a fill that began before an event of its key', () => {
    const cache = new Cache<string>(roomy)
    for (const event of ['drop', 'replace', 'drop-all', 'replace-all', 'purge']) {
      const floor = cache.floors.open('a', 3)
      if (event === 'drop') cache.drop('a', 4)
      if (event === 'replace') cache.replace('a', () => 'x', 4)
      if (event === 'drop-all') cache.dropAll('a', 4)
      if (event === 'replace-all') cache.replaceAll('a', () => 'x', 4)
      if (event === 'purge') cache.purge(4)
      expect(cache.fill('a', 'old', 3, floor), event).to.equal(undefined)
      expect(cache.get('a'), event).to.equal(undefined)
    }
    expect(cache.counters.refusedByFloor).to.equal(5)
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
      return entry ? sum + entryBytes(key, entry.value) : sum
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

  it('counts what it did not keep for its size', () => {
    const cache = new Cache<string>({ maxBytes: 100_000 })
    put(cache, 'large', 'x'.repeat(20_000), 1)
    expect(cache.counters).to.include({ oversized: 1, entries: 0, bytes: 0 })
  })

  it('lets no flood of absences put out what is there', () => {
    const cache = new Cache<string>({ maxBytes: 100_000 })
    for (let n = 0; n < 100; n++) put(cache, `valid:${n}`, 'x', 1)
    for (let n = 0; n < 10_000; n++) put(cache, `made up:${n}`, null, 1)
    for (let n = 0; n < 100; n++) expect(cache.peek(`valid:${n}`)?.value).to.equal('x')
    expect(cache.peek('made up:9999')?.value, 'the newest are known').to.equal(null)
    expect(cache.peek('made up:0')).to.equal(undefined)
    cache.replace('made up:9999', () => 'made', 2)
    for (let n = 10_000; n < 20_000; n++) put(cache, `made up:${n}`, null, 2)
    expect(cache.peek('made up:9999')?.value, 'no absence any more').to.equal('made')
  })

  it('evicts a purged entry that came last before one that is not purged', () => {
    const cache = new Cache<string>({ maxBytes: 40_000 })
    put(cache, 'proven', 'x', 1)
    cache.fill('stand-in', 'x', 1, cache.floors.open('stand-in', 1), true)
    for (let n = 0; cache.counters.evictions === 0; n++) put(cache, `filler:${n}`, 'x', 1)
    expect(cache.peekPurged('stand-in')).to.equal(undefined)
  })

  it('is never above its bound, whatever is done, and evicts what is purged first, then what was used least lately', () => {
    const key = fc.integer({ min: 0, max: 40 }).map((n) => `key:${n}`)
    const size = fc.integer({ min: 0, max: 1200 })
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.record({ do: fc.constant('put' as const), key, size }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('get' as const), key }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('replace' as const), key, size }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('absent' as const), key }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), key }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('purge' as const) }) },
    )
    const maxBytes = 12_000
    const keys = Array.from({ length: 41 }, (_, n) => `key:${n}`)
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 300 }), (steps) => {
        const cache = new Cache<string>({ maxBytes })
        /** When each key was used, or made. */
        const used = new Map<string, number>()
        steps.forEach((step, now) => {
          const held = keys.filter((one) => cache.peek(one) ?? cache.peekPurged(one))
          const purged = new Set(held.filter((one) => cache.peekPurged(one)))
          const absent = new Set(held.filter((one) => cache.peek(one)?.value === null))
          if (step.do === 'put') put(cache, step.key, 'v'.repeat(step.size), now)
          if (step.do === 'absent') put(cache, step.key, null, now)
          if (step.do === 'get') cache.get(step.key)
          if (step.do === 'replace') cache.replace(step.key, () => 'w'.repeat(step.size), now)
          if (step.do === 'drop') cache.drop(step.key, now)
          if (step.do === 'purge') cache.purge(now)
          if (step.do === 'put' || step.do === 'absent' || step.do === 'get') used.set(step.key, now)
          expect(cache.counters.bytes).to.be.at.most(maxBytes)
          const isHeld = (one: string) => cache.peek(one) ?? cache.peekPurged(one)
          const own = 'key' in step ? step.key : undefined
          const gone = held.filter((one) => one !== own && !isHeld(one) && !absent.has(one))
          const left = held.filter((one) => one !== own && isHeld(one))
          if (gone.some((one) => !purged.has(one))) {
            expect(
              left.filter((one) => purged.has(one)),
              'purged ones that were spared',
            ).to.deep.equal([])
          }
          // A hit moves an entry only out of the older half, so of two in the younger half either may go.
          const age = (one: string) => used.get(one) as number
          const young = left.toSorted((a, b) => age(b) - age(a)).slice(0, Math.floor(left.length / 4))
          for (const one of gone.filter((other) => !purged.has(other))) {
            for (const other of young) expect(age(one), `${one} went before ${other}`).to.be.below(age(other))
          }
        })
      }),
      { numRuns: 100 },
    )
  })

  it('counts what entries take of the heap, to a tenth', async () => {
    for (const { kind, made, real, estimated } of await heapUses()) {
      expect(estimated / real, `${kind}, ${made}`).to.be.within(0.9, 1.1)
    }
  }).timeout(60_000)
})
