import { expect } from 'chai'
import { copyOf, Remembered } from '../../../src/plugins/remembered.ts'

/** Ends as texts with a signature do: in what no other one has. */
const textOf = (n: number) => `text ${String(n).padStart(60, '0')}`

describe('what is remembered of texts', () => {
  it('is of that very text, not of another one that ends in the same way', () => {
    const remembered = new Remembered<string>(10_000)
    remembered.set(`a${textOf(1)}`, 'one')
    expect(remembered.get(`a${textOf(1)}`)).equal('one')
    expect([remembered.get(`b${textOf(1)}`), remembered.get(textOf(1)), remembered.get('')]).deep.equal([
      undefined,
      undefined,
      undefined,
    ])
    remembered.set('short', 'two')
    expect([remembered.get('short'), remembered.get('hort')]).deep.equal(['two', undefined])
  })

  it('makes room for what is new, but for what is asked for', () => {
    const remembered = new Remembered<number>(10_000)
    for (let n = 0; n < 100; n++) {
      remembered.set(textOf(n), n)
      expect(remembered.get(textOf(0))).equal(0)
    }
    const known = Array.from({ length: 100 }, (_, n) => remembered.get(textOf(n))).filter(
      (n) => n !== undefined,
    )
    expect(known).include(99).and.include(0).and.not.include(1)
    expect(known.length * (textOf(0).length + 200)).most(10_000)
  })

  it('is nothing of a text that would take the room of many', () => {
    const remembered = new Remembered<string>(1_000_000)
    const text = textOf(1).padStart(5000)
    remembered.set(text, 'much')
    expect(remembered.get(text)).equal(undefined)
  })
})

describe('a copy of a text', () => {
  it('is the same text, whatever it holds', () => {
    for (const text of ['', 'Bearer abc', 'é\xff', 'č\ud800']) expect(copyOf(text)).equal(text)
  })
})
