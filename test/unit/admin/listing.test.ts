import { expect } from 'chai'
import { nextUrl, parseListing } from '../../../src/admin/listing.ts'
import type { JsonObject } from '../../../src/base/json.ts'
import { Invalid } from '../../../src/entities/errors.ts'
import { plugin } from '../../../src/entities/plugin.ts'

const parse = (parameters: JsonObject) => parseListing(plugin, parameters)

function refusal(parameters: JsonObject): unknown {
  try {
    return { accepted: parse(parameters) }
  } catch (error) {
    return error instanceof Invalid ? error.errors : error
  }
}

describe('parseListing', () => {
  it('starts at the first page of a hundred', () => {
    expect(parse({})).to.deep.equal({ size: 100, page: 1, filter: {} })
    expect(parse({ size: 'many', offset: '' })).to.deep.equal({ size: 100, page: 1, filter: {} })
  })

  it('takes the size as a number or as text, as large as arithmetic allows', () => {
    expect(parse({ size: '3' }).size).to.equal(3)
    expect(parse({ size: 0 }).size).to.equal(0)
    expect(parse({ size: '1e300' }).size).to.equal(2 ** 31 - 1)
    for (const size of ['-1', 2.5, '-1e300']) expect(refusal({ size })).to.have.keys('size')
  })

  it('reads the page out of the offset', () => {
    expect(parse({ offset: 'Mg==' }).page).to.equal(2)
    expect(parse({ offset: btoa('2147483647') }).page).to.equal(2 ** 31 - 1)
  })

  it('takes an offset that is not base64 for the first page', () => {
    for (const offset of ['!', 'http://a/?b', true, null, 5]) expect(parse({ offset }).page).to.equal(1)
  })

  it('refuses an offset that no list gave', () => {
    for (const page of ['0', '-1', '1.5', 'x', '2147483648', '99999999999999', '1 ']) {
      expect(refusal({ offset: btoa(page) }), page).to.have.keys('offset')
    }
  })

  it('compares with the type of the attribute', () => {
    const id = '4d924084-1adb-40a5-c042-63b19db421d1'
    expect(parse({ enabled: 'True', name: 'key-auth', api_id: id, created_at: '1000' }).filter).to.deep.equal(
      {
        ...{ enabled: true, name: 'key-auth', api_id: id, created_at: 1000 },
      },
    )
    expect(parse({ name: '' }).filter).to.deep.equal({ name: '' })
  })

  it('refuses what can not be compared with', () => {
    expect(refusal({ id: 'abc' })).to.deep.equal({ id: 'abc is not a valid uuid' })
    expect(refusal({ enabled: 'x' })).to.deep.equal({ enabled: 'enabled is not a boolean' })
    expect(refusal({ name: true })).to.deep.equal({ name: 'name is not a string' })
    expect(refusal({ config: { a: 1 } })).to.deep.equal({ config: 'config is not a table' })
    expect(refusal({ created_at: '1e30' })).to.have.keys('created_at')
    expect(refusal({ consumer_id: null })).to.deep.equal({ consumer_id: 'null is not a valid uuid' })
    expect(refusal({ name: ['a'] })).to.deep.equal({ name: 'name is not a string' })
  })

  it('refuses attributes that the entity does not have, inherited ones too [contract 19, 54]', () => {
    expect(refusal({ foo: 'bar' })).to.deep.equal({ foo: 'unknown field' })
    expect(refusal({ constructor: 'x' } as never)).to.deep.equal({ constructor: 'unknown field' })
    expect(refusal(JSON.parse('{"__proto__":"x"}'))).to.have.own.property('__proto__', 'unknown field')
  })
})

describe('nextUrl', () => {
  const address = 'http://localhost:8001/plugins/'
  const url = (size: number, page: number, total: number, filter = {}) =>
    nextUrl(address, { size, page, filter }, total)

  it('is absent on the last page and when nothing was asked for', () => {
    expect(url(3, 4, 10)).to.equal(undefined)
    expect(url(5, 2, 10)).to.equal(undefined)
    expect(url(0, 1, 10)).to.equal(undefined)
  })

  it('leads to the next page and keeps the filters', () => {
    expect(url(3, 1, 10)).to.equal(`${address}?size=3&offset=Mg%3D%3D`)
    expect(url(3, 2, 10, { name: 'a&b', enabled: true })).to.equal(
      `${address}?size=3&offset=Mw%3D%3D&name=a%26b&enabled=true`,
    )
  })
})
