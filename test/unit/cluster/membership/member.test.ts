import { expect } from 'chai'
import fc from 'fast-check'
import { memberStates, type Rumour, supersedes } from '../../../../src/cluster/membership/member.ts'
import { View } from '../../../../src/cluster/membership/view.ts'

const rumour = fc.record({
  name: fc.constant('a'),
  address: fc.constant('10.0.0.1:7946'),
  life: fc.integer({ min: 1, max: 3 }),
  incarnation: fc.integer({ min: 0, max: 3 }),
  state: fc.constantFrom(...memberStates),
  by: fc.constantFrom('b', 'c'),
})

describe('the order of rumours', () => {
  it('is by life, then incarnation, then state', () => {
    const of = (life: number, incarnation: number, state: Rumour['state']) => ({ life, incarnation, state })
    expect(supersedes(of(2, 0, 'alive'), of(1, 9, 'forced'))).to.equal(true)
    expect(supersedes(of(1, 9, 'left'), of(2, 0, 'alive'))).to.equal(false)
    expect(supersedes(of(1, 1, 'alive'), of(1, 0, 'failed'))).to.equal(true)
    expect(supersedes(of(1, 0, 'failed'), of(1, 1, 'alive'))).to.equal(false)
    expect(supersedes(of(1, 0, 'suspect'), of(1, 0, 'alive'))).to.equal(true)
    expect(supersedes(of(1, 0, 'alive'), of(1, 0, 'suspect'))).to.equal(false)
    expect(supersedes(of(1, 0, 'alive'), of(1, 0, 'alive'))).to.equal(false)
  })

  it('lets no incarnation undo that a life was ended', () => {
    const forced = { life: 1, incarnation: 0, state: 'forced' as const }
    expect(supersedes({ life: 1, incarnation: 9, state: 'alive' }, forced)).to.equal(false)
    expect(supersedes(forced, { life: 1, incarnation: 9, state: 'alive' })).to.equal(true)
  })

  it('makes views agree in whatever order, and however often, rumours come', () => {
    fc.assert(
      fc.property(
        fc.array(rumour, { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.nat()),
        (all, chance) => {
          const shuffled = [...all, ...all].sort(() => ((chance.next().value ?? 0) % 3) - 1)
          const [one, other] = [all, shuffled].map((rumours) => {
            const view = new View()
            for (const each of rumours) view.apply(each, 0)
            return { hash: view.hash, entry: view.get('a') }
          })
          expect(one?.hash).to.equal(other?.hash)
          const { life, state } = one?.entry ?? {}
          expect({ life, state }).to.deep.equal({ life: other?.entry?.life, state: other?.entry?.state })
        },
      ),
    )
  })

  it('shows in the hash whatever differs but for those who left, and not how it came about', () => {
    const view = (...rumours: Partial<Rumour>[]) => {
      const made = new View()
      for (const each of rumours) made.apply({ ...base, ...each }, 0)
      return made.hash
    }
    const base: Rumour = { name: 'a', address: 'x:1', life: 1, incarnation: 0, state: 'alive', by: 'a' }
    const b = { name: 'b' }
    expect(view({}, b)).to.equal(view(b, {}))
    expect(view({ state: 'suspect' }, { incarnation: 1 })).to.equal(view({ incarnation: 1 }))
    expect(view({}, { state: 'left' })).to.equal(view())
    const different = [
      view(),
      view({}),
      view({}, b),
      view({ life: 2 }),
      view({ incarnation: 1 }),
      view({ state: 'failed' }),
    ]
    expect(new Set(different).size).to.equal(different.length)
    expect(view({ incarnation: 1 }, b)).not.to.equal(view({}, { ...b, incarnation: 1 }))
  })
})
