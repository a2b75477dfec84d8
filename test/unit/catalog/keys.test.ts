import { expect } from 'chai'
import { cacheKey, canExist, keyOfRow } from '../../../src/catalog/keys.ts'
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

  it('know what text can be in the datastore', () => {
    expect(canExist(['a', null, '', 'é😀'])).to.equal(true)
    expect(canExist(['a\0b'])).to.equal(false)
    expect(canExist(['\ud800'])).to.equal(false)
  })

  it('read the spelling of 0.8 for plugins as a view of the list [contract 490]', () => {
    expect(parsePluginKey(`plugins:key-auth:${api}`)).to.deep.equal({
      key: `plugins:${api}`,
      name: 'key-auth',
    })
    expect(parsePluginKey(`plugins:key-auth:${api}:${consumer}`)).to.deep.equal({
      key: `plugins:${api}:${consumer}`,
      name: 'key-auth',
    })
    for (const key of [
      `plugins:${api}`,
      `plugins:${api}:${consumer}`,
      'plugins:key-auth',
      `consumers:${consumer}`,
    ]) {
      expect(parsePluginKey(key), key).to.equal(undefined)
    }
    const row = { id: 'x', name: 'key-auth' }
    expect(viewOfPlugins([row], 'key-auth')).to.equal(row)
    expect(viewOfPlugins([row], 'acl')).to.deep.equal({ null: true })
  })
})
