import { expect } from 'chai'
import fc from 'fast-check'
import { withParameters } from '../../../src/plugins/oauth2/redirect.ts'

describe('where a browser is sent back to', () => {
  it('is the registered URI, with what is said in its query', () => {
    const cases: [uri: string, parameters: Record<string, string | number | undefined>, sent: string][] = [
      ['http://a.com/b', { code: 'x' }, 'http://a.com/b?code=x'],
      ['http://a.com', { code: 'x' }, 'http://a.com?code=x'],
      ['app://open', { state: 's', code: 'x' }, 'app://open?code=x&state=s'],
      ['http://a.com/?', { n: 5, none: undefined }, 'http://a.com/?n=5'],
      ['http://a.com/?z=1&z=2&a=%20+', { m: '' }, 'http://a.com/?a=%20%20&m=&z=1&z=2'],
      ['http://a.com/?code=old&x=1', { code: 'new' }, 'http://a.com/?code=new&x=1'],
      ['http://a.com/?q=a?b#c', { code: 'x' }, 'http://a.com/?code=x&q=a%3Fb'],
      ['http://a.com/', { text: `"é!'()*` }, 'http://a.com/?text=%22%C3%A9%21%27%28%29%2A'],
    ]
    for (const [uri, parameters, sent] of cases) expect(withParameters(uri, parameters)).equal(sent)
  })

  it('says back whatever was said, in one line and on the same host', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.string({ unit: 'grapheme' })), (said) => {
        const sent = withParameters('http://a.com/b?own=1', said)
        expect(sent).match(/^[\x21-\x7e]+$/)
        const { host, pathname, searchParams } = new URL(sent)
        expect([host, pathname]).deep.equal(['a.com', '/b'])
        for (const [name, value] of Object.entries(said))
          expect(searchParams.getAll(name)).deep.equal([value])
      }),
    )
  })
})
