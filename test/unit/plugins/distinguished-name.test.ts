import { expect } from 'chai'
import fc from 'fast-check'
import { nameWithin } from '../../../src/plugins/ldap-auth/distinguished-name.ts'

describe('the name of an entry', () => {
  const value = (text: string) => nameWithin('dc=org', 'uid', text).slice('uid='.length, -',dc=org'.length)

  it('has what has a meaning in names by its number', () => {
    expect(value('a,b+c=d')).equal('a\\2cb\\2bc\\3dd')
    expect(value('"<x>;\\')).equal('\\22\\3cx\\3e\\3b\\5c')
    expect(value('a\0b\n')).equal('a\\00b\\0a')
    expect(value(' # ')).equal('\\20#\\20')
    expect(value('#a')).equal('\\23a')
    expect(value('*ž日')).equal('*ž日')
  })

  it('stays one name within one base, and can be read back, whatever the value is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const escaped = value(text)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not pass
        expect(escaped).not.match(/[\x00-\x1f,+"<>;=]|^[ #]|\\(?![0-9a-f]{2})| $/)
        const read = escaped.replace(/\\([0-9a-f]{2})/g, (_, hex) =>
          String.fromCharCode(Number.parseInt(hex, 16)),
        )
        expect(read).equal(text)
      }),
    )
  })
})
