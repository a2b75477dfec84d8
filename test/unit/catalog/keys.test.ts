import { expect } from 'chai'
import fc from 'fast-check'
import { cacheKey, canExist, familyOf, findableKey, keyOfRow, parseKey } from '../../../src/catalog/keys.ts'
import { parsePluginKey, viewOfPlugins } from '../../../src/catalog/kong-keys.ts'
import { plugin } from '../../../src/entities/plugin.ts'

const api = '11111111-1111-4111-8111-111111111111'
const consumer = '22222222-2222-4222-8222-222222222222'
const [lookup] = plugin.lookups

describe('cache keys', () => {
  it('leave out nulls at the end', () => {
    expect(cacheKey(lookup, [api, null])).to.equal(`plugins:${api}`)
    expect(cacheKey(lookup, [api, consumer])).to.equal(`plugins:${api}:${consumer}`)
    expect(keyOfRow(lookup, { api_id: api, consumer_id: null })).to.equal(`plugins:${api}`)
  })

  it('differ for values that differ, whatever characters these hold', () => {
    const by = { prefix: 'p', by: ['a', 'b', 'c'] }
    const lists = [
      ['x:y', null, null],
      ['x', 'y', null],
      ['x%3Ay', null, null],
      ['x', '', null],
      ['x', null, 'y'],
      ['x', '', 'y'],
      ['x', '%', 'y'],
      ['x', null, null],
    ]
    expect(new Set(lists.map((values) => cacheKey(by, values))).size).to.equal(lists.length)
  })

  it('spell a single value as it is', () => {
    expect(cacheKey({ prefix: 'keyauth_credentials', by: ['key'] }, ['a:b%'])).to.equal(
      'keyauth_credentials:a:b%',
    )
  })

  it('are the same when they are made again, whatever was made before', () => {
    const single = { prefix: 'p', by: ['a'] }
    const pair = { prefix: 'p', by: ['a', 'b'] }
    const value = fc.option(fc.string({ unit: fc.constantFrom(':', '%', '2', '\0', '\ud800', 'x') }))
    const asked = fc.oneof(
      value.map((a) => ({ lookup: single, values: [a] })),
      fc.tuple(value, value).map((values) => ({ lookup: pair, values })),
    )
    const check = fc.property(fc.array(asked, { maxLength: 20 }), (list) => {
      for (const { lookup, values } of [...list, ...list])
        expect(findableKey(lookup, values)).to.equal(canExist(values) ? cacheKey(lookup, values) : undefined)
    })
    fc.assert(check, { numRuns: 500 })
  })

  it('are made for more values than are remembered', () => {
    const lookup = { prefix: 'many', by: ['a'] }
    for (let i = 0; i < 5000; i++) expect(findableKey(lookup, [`${i % 2500}`])).to.equal(`many:${i % 2500}`)
  })

  describe('are read back', () => {
    const columns = ['a', 'b', 'c']
    // Mostly of the characters that mean something in a key.
    const value = fc.option(
      fc.oneof(
        fc.string({ unit: fc.constantFrom(':', '%', '2', '5', '3', 'A', 'a', 'x') }),
        fc.string({ unit: 'binary' }),
      ),
    )
    const lookupAndValues = fc
      .array(value, { minLength: 1, maxLength: 3 })
      .map((values) => ({ lookup: { prefix: 'p', by: columns.slice(0, values.length) }, values }))

    it('as the values that they were made of, whatever characters these hold', () => {
      const check = fc.property(lookupAndValues, ({ lookup, values }) => {
        const key = cacheKey(lookup, values)
        expect(parseKey(lookup, key)).to.deep.equal(values)
        expect(familyOf(key)).to.equal('p')
      })
      fc.assert(check, { numRuns: 2000 })
    })

    it('only if they are spelled as keys of the lookup are', () => {
      const text = fc.string({ unit: fc.constantFrom('p', ':', '%', '2', '5', '3', 'A', 'a') })
      const check = fc.property(text, fc.integer({ min: 1, max: 3 }), (key, n) => {
        const by = { prefix: 'p', by: columns.slice(0, n) }
        const values = parseKey(by, key)
        if (values) expect(cacheKey(by, values)).to.equal(key)
      })
      fc.assert(check, { numRuns: 2000 })
      expect(parseKey(lookup, `consumers:${api}`)).to.equal(undefined)
      expect(parseKey(lookup, `pluginsx:${api}`)).to.equal(undefined)
      expect(parseKey(lookup, `plugins:${api}:${consumer}:x`), 'a value too many').to.equal(undefined)
      expect(parseKey(lookup, `plugins:${api}:%`), 'a null at the end').to.equal(undefined)
    })
  })

  it('know what text can be in the datastore', () => {
    expect(canExist(['a', null, '', 'é😀'])).to.equal(true)
    expect(canExist(['a\0b'])).to.equal(false)
    expect(canExist(['\ud800'])).to.equal(false)
  })

  it('read the spelling of 0.8 for plugins as a view of the list [contract 490]', () => {
    expect(parsePluginKey(`plugins:key-auth:${api}`)).to.deep.equal({
      key: `plugins:${api}`,
      name: 'key-auth',
      api,
    })
    expect(parsePluginKey(`plugins:key-auth:${api}:${consumer}`)).to.deep.equal({
      key: `consumer_plugins:${consumer}`,
      name: 'key-auth',
      api,
    })
    for (const key of [
      `plugins:${api}`,
      `plugins:${api}:${consumer}`,
      'plugins:key-auth',
      `consumers:${consumer}`,
    ]) {
      expect(parsePluginKey(key), key).to.equal(undefined)
    }
    const row = { id: 'x', name: 'key-auth', api_id: api }
    const ofAll = { id: 'y', name: 'key-auth', api_id: null }
    const ofOther = { id: 'z', name: 'acl', api_id: consumer }
    const rows = [ofAll, row, ofOther]
    const asked = (name: string, api: string) => viewOfPlugins(rows, { key: '', name, api })
    expect(asked('key-auth', api)).to.equal(row)
    expect(asked('key-auth', consumer)).to.equal(ofAll)
    expect(asked('acl', api)).to.deep.equal({ null: true })
  })
})
