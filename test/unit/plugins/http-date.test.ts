import { expect } from 'chai'
import { parseHttpDate } from '../../../src/plugins/hmac-auth/http-date.ts'

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
})
