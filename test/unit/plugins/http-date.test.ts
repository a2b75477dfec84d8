import { expect } from 'chai'
import { KnownDate, parseHttpDate } from '../../../src/plugins/hmac-auth/http-date.ts'

describe('a date of HTTP', () => {
  const now = Date.UTC(2026, 10, 26)
  const time = Date.UTC(1994, 10, 6, 8, 49, 37)

  it('has three forms (RFC 9110, 5.6.7)', () => {
    for (const text of [
      'Sun, 06 Nov 1994 08:49:37 GMT',
      'Sunday, 06-Nov-94 08:49:37 GMT',
      'Sun Nov  6 08:49:37 1994',
    ])
      expect(parseHttpDate(text, now), text).equal(time)
    expect(parseHttpDate('Sun Nov 16 08:49:37 1994', now)).equal(time + 10 * 86_400_000)
  })

  it('of two digits is in this century up to fifty years from now', () => {
    const year = (text: string) => new Date(parseHttpDate(text, now) as number).getUTCFullYear()
    expect(year('Sunday, 06-Nov-76 08:49:37 GMT')).equal(2076)
    expect(year('Sunday, 06-Nov-77 08:49:37 GMT')).equal(1977)
  })

  it('is what is printed as one, any second', () => {
    for (let at = now; at < now + 1e9; at += 7_777_000)
      expect(parseHttpDate(new Date(at).toUTCString(), now)).equal(at)
  })

  it('is nothing else: no other zone, nothing out of range, nothing around it', () => {
    for (const text of [
      '',
      'wrong date',
      '1994-11-06T08:49:37Z',
      'Sun, 06 Nov 1994 08:49:37',
      'Sun, 06 Nov 1994 08:49:37 +0000',
      'Sun, 6 Nov 1994 08:49:37 GMT',
      'Sun, 31 Feb 1994 08:49:37 GMT',
      'Sun, 06 Nov 1994 24:00:00 GMT',
      'Sun, 06 Nov 1994 08:60:00 GMT',
      'Sun, 06 Nov 1994 08:49:60 GMT',
      'sun, 06 nov 1994 08:49:37 gmt',
      ' Sun, 06 Nov 1994 08:49:37 GMT',
      'Sun, 06 Nov 1994 08:49:37 GMT x',
    ])
      expect(parseHttpDate(text, now), text).equal(undefined)
  })

  it('that came before is read as it was, unless it depends on when it is read', () => {
    const known = new KnownDate()
    for (const text of [
      'Sun, 06 Nov 1994 08:49:37 GMT',
      'Sun, 06 Nov 1994 08:49:38 GMT',
      'Sun, 36 Nov 1994 08:49:38 GMT',
    ])
      for (let i = 0; i < 2; i++) expect(known.parse(text, now), text).equal(parseHttpDate(text, now))
    const short = 'Sunday, 06-Nov-77 08:49:37 GMT'
    for (const at of [now, Date.UTC(2027, 1, 1)])
      expect(known.parse(short, at)).equal(parseHttpDate(short, at))
    expect(parseHttpDate(short, now)).not.equal(parseHttpDate(short, Date.UTC(2027, 1, 1)))
  })
})
