import { expect } from 'chai'
import fc from 'fast-check'
import { KeySet } from '../../../src/catalog/key-set.ts'

const secret = Int32Array.of(1, -2, 3, -4)

describe('a set of keys', () => {
  it('has what was added as often as it was not removed, and tells every thread so', () => {
    const operation = fc.record({ add: fc.boolean(), key: fc.integer({ min: 0, max: 3000 }) })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6000, size: 'max' }), (operations) => {
        const set = KeySet.make(secret)
        const counts = new Map<string, number>()
        for (const { add, key: n } of operations) {
          const key = `key ${n}`
          const count = counts.get(key) ?? 0
          if (add) set.add(key)
          else expect(set.remove(key)).to.equal(count > 0)
          counts.set(key, Math.max(0, count + (add ? 1 : -1)))
        }
        const other = KeySet.over(set.buffer)
        for (const [key, count] of counts) {
          expect(set.has(key), key).to.equal(count > 0)
          expect(other.has(key), key).to.equal(count > 0)
        }
        expect(set.size).to.equal([...counts.values()].reduce((sum, count) => sum + count, 0))
      }),
      { numRuns: 20 },
    )
  })

  it('takes 9 to 15 bytes a key, and has no key that was not added', () => {
    const set = KeySet.make(secret)
    let most = 0
    for (let n = 1; n <= 200_000; n++) {
      set.add(`key ${n}`)
      if (n > 10_000) most = Math.max(most, set.buffer.byteLength / n)
      if (n > 10_000) expect(set.buffer.byteLength / n).to.be.at.least(9)
    }
    expect(most).to.be.at.most(15)
    const found = Array.from({ length: 20_000 }, (_, n) => set.has(`other ${n}`)).filter(Boolean)
    expect(found).to.have.length(0)
  })

  it('does not grow by keys that come and go', () => {
    const set = KeySet.make(secret)
    for (let n = 0; n < 500; n++) set.add(`stays ${n}`)
    const { byteLength } = set.buffer
    for (let n = 0; n < 20_000; n++) {
      set.add(`goes ${n}`)
      expect(set.remove(`goes ${n}`)).to.equal(true)
    }
    expect(set.buffer.byteLength).to.be.at.most(byteLength * 1.1)
    for (let n = 0; n < 500; n++) expect(set.has(`stays ${n}`)).to.equal(true)
  })

  it('is copied bit by bit while keys are added, and right all the time', () => {
    const set = KeySet.make(secret)
    for (let n = 1, moves = 0; moves < 6; n++) {
      const { buffer } = set
      set.add(`key ${n}`)
      if (n > 1) expect(set.has(`key ${n - 1}`)).to.equal(true)
      if (set.buffer === buffer) continue
      moves++
      // It began when it was 78 % full.
      expect((n * 8) / buffer.byteLength).to.be.within(0.83, 0.86)
      for (let k = 1; k <= n; k++) expect(set.has(`key ${k}`), `key ${k} of ${n}`).to.equal(true)
    }
  })

  it('leaves what others look into as it was when it is copied to other memory', () => {
    const set = KeySet.make(secret)
    set.add('a')
    const before = KeySet.over(set.buffer)
    for (let n = 0; n < 2000; n++) set.add(`key ${n}`)
    set.remove('a')
    expect(before.has('a')).to.equal(true)
    expect(KeySet.over(set.buffer).has('a')).to.equal(false)
  })
})
