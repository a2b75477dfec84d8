import { expect } from 'chai'
import { effectsOf } from './changes/effects.ts'

describe('what a change did to the answers of a steady client', () => {
  // One request each millisecond for three seconds, each answered within a quarter of one.
  const dueMs = Array.from({ length: 3000 }, (_, i) => 10_000 + i)
  const change = { version: 1, sentMs: 12_000, committedMs: 12_004, answeredMs: 12_010 }

  /** @param oldUntilMs  requests that were sent by then were answered by the old state */
  const answered = (oldUntilMs: number, slow: Readonly<Record<number, number>> = {}) => ({
    dueMs,
    sentMs: dueMs,
    tookMs: dueMs.map((ms) => slow[ms] ?? 0.25),
    versions: dueMs.map((ms) => (ms <= oldUntilMs ? 0 : 1)),
    lateMs: dueMs.map(() => 0),
  })

  it('says how long after the commit the old state was still answered, and that none was after the answer', () => {
    const [effect] = effectsOf([change], answered(12_007))
    expect(effect).to.include({ answeredMs: 10, oldMs: 3, stale: 0 })
  })

  it('counts what was sent after the answer and still answered by the old state', () => {
    expect(effectsOf([change], answered(12_013))[0]).to.include({ oldMs: 9, stale: 3 })
  })

  it('has nothing old where the new state was answered before the commit was noted', () => {
    expect(effectsOf([change], answered(12_001))[0]).to.include({ oldMs: 0, stale: 0 })
  })

  it('tells waits before the write from those that came with it', () => {
    const slow = { 11850: 99, 11950: 7, 12050: 8, 12150: 99 }
    const [effect] = effectsOf([change], answered(12_007, slow))
    expect(effect).to.include({ longestBeforeMs: 7, longestAfterMs: 8 })
  })

  it('leaves out changes that no requests surrounded, and the first second', () => {
    const at = (sentMs: number) => ({ ...change, sentMs })
    expect(effectsOf([at(9_000), at(11_050), at(12_950), at(14_000)], answered(12_007))).to.deep.equal([])
  })
})
