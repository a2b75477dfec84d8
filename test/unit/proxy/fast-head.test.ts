import { expect } from 'chai'
import fc from 'fast-check'
import { type FastHead, FastHeadReader } from '../../../src/proxy/inbound/fast-head.ts'
import { defaultLimits } from '../../../src/proxy/inbound/limits.ts'

const reader = new FastHeadReader(defaultLimits)

function read(text: string, from = 0): FastHead | undefined {
  return reader.read(Buffer.from(text, 'latin1'), from)
}

const get = (...lines: string[]) => ['GET / HTTP/1.1', 'Host: test', ...lines, '', ''].join('\r\n')

describe('FastHeadReader', () => {
  it('reads a head as it is written, wherever it begins, and no byte beyond it', () => {
    const text = get('X-One:  a b \t', 'x-two:', 'Content-Length: 012', 'Connection: Close', 'X: \xe9"')
    const before = 'some bytes'
    const { headers, ...rest } = read(`${before}${text}GET / HTTP/1.1\r\n`, before.length) as FastHead
    expect({ ...rest, rawHeaders: headers.raw() }).deep.equal({
      method: 'GET',
      target: '/',
      rawHeaders: [
        ...['Host', 'test', 'X-One', 'a b', 'x-two', '', 'Content-Length', '012'],
        ...['Connection', 'Close', 'X', '\xe9"'],
      ],
      bodyBytes: 12,
      keepsAlive: false,
      bytes: text.length,
    })
  })

  const others: Readonly<Record<string, string>> = {
    'no Host': 'GET / HTTP/1.1\r\n\r\n',
    'two Hosts': get('Host: test'),
    'a Host that is none': get().replace('test', 'te st'),
    'a host that overrides it and is none': get('X-Host-Override: a/b'),
    'two lengths, even equal ones': get('Content-Length: 1', 'Content-Length: 1'),
    'a length that is no number': get('Content-Length: 1x'),
    'a length with a sign': get('Content-Length: +1'),
    'no length where there is the field': get('Content-Length:'),
    'a length beyond what numbers hold': get('Content-Length: 9007199254740993'),
    'a coding': get('Transfer-Encoding: chunked'),
    'another protocol': get('Upgrade: websocket', 'Connection: Upgrade'),
    'another protocol, said by the way': get('Upgrade: h2c'),
    'an expectation': get('Expect: 100-continue'),
    'a named hop-by-hop field': get('Connection: close, X-One'),
    'Connection twice': get('Connection: close', 'Connection: keep-alive'),
    'Proxy-Connection': get('Proxy-Connection: close'),
    'another version': get().replace('1.1', '1.0'),
    'two blanks in its first line': get().replace('GET ', 'GET  '),
    'an empty line before it': `\r\n${get()}`,
    'a method of its own': get().replace('GET', 'GOT'),
    'a method in small letters': get().replace('GET', 'get'),
    'a whole address as the target': get().replace(' / ', ' http://test/ '),
    'a fragment': get().replace(' / ', ' /#a '),
    'a target with more than ASCII': get().replace(' / ', ' /\xe9 '),
    'a folded line': get('X: a', ' b'),
    'a blank before the colon': get('X : a'),
    'a line without a name': get(': a'),
    'a line without a colon': get('X'),
    'a control character': get('X: a\x01'),
    'a bare line feed': get('X: a\nY: b'),
    'a bare carriage return': get('X: a\rY: b'),
    'more fields than may be': get(...Array.from({ length: 256 }, () => 'X: y')),
    'more bytes than it looks at': get(`X: ${'y'.repeat(8192)}`),
  }
  for (const [what, text] of Object.entries(others))
    it(`leaves ${what} to the ordinary lane`, () => {
      expect(read(text)).equal(undefined)
    })

  it('needs the whole of a head, and is not misled by what follows it', () => {
    const name = fc.string({ unit: fc.constantFrom(...'aZ09-_!~'), minLength: 1, maxLength: 12 })
    const value = fc.string({ unit: fc.constantFrom(...'a:;, "~\x80\xff'), maxLength: 20 })
    const field = fc.tuple(name, value).map(([name, value]) => `X-${name}: ${value}`)
    fc.assert(
      fc.property(
        fc.array(field, { maxLength: 8 }),
        fc.nat(),
        fc.string({ unit: 'binary' }),
        (fields, cut, more) => {
          const text = get(...fields)
          const whole = read(text)
          expect(whole?.headers.raw().length).equal(2 * fields.length + 2)
          expect(read(text.slice(0, cut % text.length))).equal(undefined)
          expect(read(text + more)).deep.equal(whole)
        },
      ),
    )
  })

  it('takes nothing whose lines or size are beyond the settings', () => {
    const small = new FastHeadReader({ ...defaultLimits, requestLineBytesMax: 256, fieldsMax: 16 })
    const sized = (bytes: number) => Buffer.from(get(`X: ${'y'.repeat(bytes - get('X: ').length)}`))
    expect(small.read(sized(256), 0)?.bytes).equal(256)
    expect(small.read(sized(257), 0)).equal(undefined)
    const many = (count: number) => Buffer.from(get(...Array.from({ length: count - 1 }, () => 'X: y')))
    expect(small.read(many(16), 0)?.headers.fields.length).equal(16)
    expect(small.read(many(17), 0)).equal(undefined)
  })
})
