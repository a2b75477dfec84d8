// Lines of heads: what can be one, and that one is what its parser has read, however it is spelled.
import { expect } from 'chai'
import fc from 'fast-check'
import { canBeField, fieldIn, fieldOf, fieldsOf } from '../../../src/proxy/field.ts'
import { hashed, nameIn, nameOf } from '../../../src/proxy/field-names.ts'
import { Headers } from '../../../src/proxy/headers.ts'

const name = fc.stringMatching(/^[\w!#$%&'*+.^`|~-]{1,70}$/)
const value = fc.stringMatching(
  /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,250}[\x21-\x7e\x80-\xff])?)?$/,
)

describe('a field', () => {
  it('is written as its name and its value, and says what they are', () => {
    fc.assert(
      fc.property(name, value, (name, value) => {
        const { line, ...field } = { ...pick(fieldOf(name, value)) }
        expect(line).equal(`${name}: ${value}\r\n`)
        expect(field).deep.equal({ name, value })
      }),
    )
  })

  it('is the same whether it was made or read, with whatever blanks', () => {
    const blanks = fc.stringMatching(/^[ \t]{0,3}$/)
    fc.assert(
      fc.property(name, value, blanks, blanks, (name, value, before, after) => {
        const line = `${name}:${before}${value}${after}`
        const bytes = Buffer.from(`..${line}\r\n`, 'latin1')
        let hash = 0
        for (let i = 2; i < 2 + name.length; i++) hash = hashed(hash, bytes[i] as number)
        const of = nameIn(bytes, 2, 2 + name.length, hash)
        const valueFrom = name.length + 1 + before.length
        const read = fieldIn(`${line}\r\n`, of, 0, valueFrom, valueFrom + value.length, line.length)
        expect(pick(read)).deep.equal(pick(fieldOf(name, value)))
        const { text, lower, kinds, isToken } = nameOf(name)
        expect(of).include({ text, lower, kinds, isToken })
      }),
    )
  })

  it('keeps the last value of its name apart from all others', () => {
    const values = ['a', 'b', 'a', '', 'a', 'x'.repeat(300), 'a']
    expect(values.map((value) => fieldOf('X-Some', value).value)).deep.equal(values)
    expect(fieldOf('x-some', 'a').line).equal('x-some: a\r\n')
  })

  it('is made of the text of what is none, once', () => {
    const values = [undefined, null, 5, ['a', 'b']] as unknown as string[]
    for (const value of values) expect(fieldOf('X-Untyped', value).line).equal(`X-Untyped: ${value}\r\n`)
    let times = 0
    const other = { toString: () => (times++ === 0 ? 'a' : 'a\r\nB: c') } as unknown as string
    expect(fieldOf('X-Untyped', other).line).equal('X-Untyped: a\r\n')
  })

  it('that is set where there is one is spelled as that was', () => {
    const headers = Headers.from(['content-type', 'a', 'X', '1', 'Content-Type', 'b'])
    headers.set('Content-Type', 'c')
    expect(headers.raw()).deep.equal(['content-type', 'c', 'X', '1'])
    expect([headers.get('CONTENT-TYPE'), headers.get('x-none')]).deep.equal(['c', undefined])
  })

  const wrong: Readonly<Record<string, readonly [name: string, value: string]>> = {
    'a value with a line of its own': ['A', 'b\r\nC: d'],
    'a value with LF': ['A', 'b\n'],
    'a value with NUL': ['A', '\0'],
    'a value that is no bytes': ['A', '\u0100'],
    'a name with a value of its own': ['A: b', 'c'],
    'a name with a line of its own': ['A: b\r\nC', 'd'],
    'a name with a blank': ['A ', 'b'],
    'a name that is no bytes': ['\u0100', 'b'],
    'no name': ['', 'b'],
  }
  for (const [what, [name, value]] of Object.entries(wrong)) {
    it(`cannot be: ${what}`, () => {
      expect(canBeField(name, value)).equal(false)
      expect(() => fieldOf(name, value)).throw(TypeError)
      const headers = new Headers()
      expect(() => headers.set(name, value)).throw(TypeError)
      expect(() => headers.append(name, value)).throw(TypeError)
      expect(headers.fields).deep.equal([])
    })
  }

  it('is told by what it is, not by how it was made', () => {
    const [field] = fieldsOf(['content-LENGTH', '1'])
    expect(field?.of.lower).equal('content-length')
    expect(field?.kinds).equal(fieldOf('Content-Length', '2').kinds)
  })
})

function pick({ name, value, line }: ReturnType<typeof fieldOf>) {
  return { name, value, line }
}
