import { expect } from 'chai'
import fc from 'fast-check'
import { Refused } from '../../../src/admin/errors.ts'
import { parseForm } from '../../../src/admin/form.ts'
import { nest } from '../../../src/admin/parameters.ts'
import type { Json, JsonObject } from '../../../src/base/json.ts'
import { Invalid } from '../../../src/entities/errors.ts'

const form = (text: string) => nest(parseForm(text))
const json = (body: JsonObject) => nest([], body)

describe('parameters of forms', () => {
  it('are decoded, plus signs and all', () => {
    expect(form('a=x%20y+z&b=%C3%A4&c=a=b&d=')).to.deep.equal({ a: 'x y z', b: 'ä', c: 'a=b', d: '' })
  })

  it('keep a percent sign that encodes nothing', () => {
    expect(form('a=100%&b=%zz%4')).to.deep.equal({ a: '100%', b: '%zz%4' })
  })

  it('are refused when they do not encode UTF-8', () => {
    for (const text of ['a=%ff', '%c3=1', 'a=%ed%a0%80'])
      expect(() => form(text)).to.throw(Refused, 'not UTF-8')
  })

  it('have the value true without an equals sign', () => {
    expect(form('username&custom_id=')).to.deep.equal({ username: true, custom_id: '' })
  })

  it('count by their last value when repeated', () => {
    expect(form('a=1&a=2')).to.deep.equal({ a: '2' })
  })

  it('nest at dots', () => {
    expect(form('config.add.headers=x&config.second=5&name=n')).to.deep.equal({
      config: { add: { headers: 'x' }, second: '5' },
      name: 'n',
    })
  })

  it('make lists by places in brackets, in the order of the places', () => {
    expect(form('config.names[2]=b&config.names[1]=a&config.names[10]=c')).to.deep.equal({
      config: { names: ['a', 'b', 'c'] },
    })
  })

  it('nest by names in brackets', () => {
    expect(form('config[limits][video][minute]=5')).to.deep.equal({
      config: { limits: { video: { minute: '5' } } },
    })
    expect(form('a[1].b=x')).to.deep.equal({ a: [{ b: 'x' }] })
    expect(form('a[]=1&b[=2')).to.deep.equal({ 'a[]': '1', 'b[': '2' })
  })

  it('are refused beyond a hundred instead of being dropped', () => {
    const fields = (count: number) => Array.from({ length: count }, (_, i) => `a.${i}=x`).join('&')
    expect(Object.keys(form(fields(100)).a as object)).to.have.length(100)
    expect(() => form(fields(101))).to.throw(Refused, 'Too many form fields: 101')
  })

  it('are refused when one is both a value and a part', () => {
    for (const text of ['a=1&a.b=2', 'a.b=2&a=1', 'a.b.c=1&a.b=2']) {
      expect(() => form(text)).to.throw(Refused, 'both as a value and by its parts')
    }
  })
})

describe('parameters of JSON', () => {
  it('nest at dots, on every level, and never in lists', () => {
    expect(json({ 'config.a': 1, config: { 'b.c': 2, d: [{ 'e.f': 3 }] } })).to.deep.equal({
      config: { a: 1, b: { c: 2 }, d: [{ 'e.f': 3 }] },
    })
  })

  it('take brackets literally', () => {
    expect(json({ 'a[1]': 'x', b: { '1': 'y' } })).to.deep.equal({ 'a[1]': 'x', b: { '1': 'y' } })
  })

  it('keep empty objects, empty lists and null', () => {
    expect(json({ a: {}, b: [], c: null })).to.deep.equal({ a: {}, b: [], c: null })
  })

  it('overrule those of the query string', () => {
    expect(nest(parseForm('name=query&size=3'), { name: 'body' })).to.deep.equal({ name: 'body', size: '3' })
  })
})

describe('hostile parameters', () => {
  it('can not reach a prototype', () => {
    const hostile = [
      '__proto__.polluted=1',
      'constructor.prototype.polluted=1',
      '__proto__[polluted]=1',
      '[__proto__]=1',
    ]
    for (const text of hostile) form(text)
    json(JSON.parse('{"__proto__":{"polluted":1},"a":{"__proto__.polluted":1}}'))
    expect(({} as { polluted?: unknown }).polluted).to.equal(undefined)
    expect(Object.keys(form('__proto__.a=1'))).to.deep.equal(['__proto__'])
  })

  it('are refused when nested too deep, by dots, brackets, objects or lists', () => {
    const deep = (open: string, close: string) =>
      JSON.parse(`{"a":${open.repeat(5000)}1${close.repeat(5000)}}`)
    expect(() => form(`${'a.'.repeat(5000)}a=1`)).to.throw(Refused, '32 levels')
    expect(() => form(`a${'[b]'.repeat(5000)}=1`)).to.throw(Refused, '32 levels')
    expect(() => json(deep('{"a":', '}'))).to.throw(Refused, '32 levels')
    expect(() => json(deep('[', ']'))).to.throw(Refused, '32 levels')
  })

  it('are refused by name when text holds what the datastore can not', () => {
    const text = 'a holds a character that cannot be stored: NUL or half a surrogate pair'
    for (const bad of ['x\0', '\ud800', '\udc00x']) {
      for (const body of [{ a: bad }, { a: [bad] }, { a: [{ [bad]: 1 }] }] as JsonObject[]) {
        expect(() => json(body))
          .to.throw(Invalid)
          .with.deep.property('errors', { a: text })
      }
      expect(() => json({ b: { a: bad } }))
        .to.throw(Invalid)
        .with.deep.property('errors', { 'b.a': text })
      expect(() => json({ [bad]: 1 })).to.throw(Invalid)
    }
    expect(() => form('a=%00')).to.throw(Invalid)
    expect(json({ a: '💥' })).to.deep.equal({ a: '💥' })
  })

  it('of JSON without dots in its names come out as they went in', () => {
    const key = fc.stringMatching(/^[^.\0]*$/u)
    const { tree } = fc.letrec<{ tree: Json; object: JsonObject }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.oneof(
          fc.string().filter((text) => !text.includes('\0')),
          fc.integer(),
          fc.boolean(),
          fc.constant(null),
        ),
        fc.array(tie('tree'), { maxLength: 4 }),
        tie('object'),
      ),
      object: fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
    }))
    fc.assert(
      fc.property(fc.dictionary(key, tree), (body) => {
        expect(JSON.stringify(json(body as JsonObject))).to.equal(JSON.stringify(body))
      }),
    )
  })
})
