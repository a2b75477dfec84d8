// What is read of an upstream's bytes: where an answer ends, and what is none.
import http, { type IncomingMessage } from 'node:http'
import { duplexPair } from 'node:stream'
import { expect } from 'chai'
import fc from 'fast-check'
import { Malformed, ResponseParser } from '../../../src/proxy/outbound/response-parser.ts'
import { hostileAnswers } from '../../integration/hostile/hostile-answers.ts'

interface Outcome {
  /** `open`: more is to come; `broken`: the connection ended before; `malformed`: it is none. */
  readonly end: 'whole' | 'open' | 'broken' | 'malformed' | 'switched'
  readonly informed: number[]
  readonly status: number | undefined
  readonly headers: readonly string[]
  readonly body: string
  readonly trailers: readonly string[]
  /** Whether the connection may carry another request. */
  readonly canGoOn: boolean
}

/** Reads `text`, each character a byte, in pieces that end at `cuts`. @param closes  whether the connection ends then */
function read(text: string, { cuts = [] as number[], method = 'GET', closes = false } = {}): Outcome {
  const outcome = { end: 'open' as Outcome['end'], informed: [] as number[], body: '', canGoOn: false }
  const rest = {
    status: undefined as number | undefined,
    headers: [] as readonly string[],
    trailers: [] as readonly string[],
  }
  const parser = new ResponseParser()
  parser.begin(method, {
    informed: (status) => void outcome.informed.push(status),
    head: (status, _reason, headers) => Object.assign(rest, { status, headers: headers.raw() }),
    data(bytes, from, to) {
      outcome.body += bytes.toString('latin1', from, to)
    },
    end(trailers, canGoOn) {
      Object.assign(rest, { trailers })
      Object.assign(outcome, { end: 'whole', canGoOn })
    },
    switched(_protocol, headers, rest) {
      Object.assign(outcome, { headers: headers.raw(), end: 'switched' })
      outcome.body = rest.toString('latin1')
    },
  })
  const bytes = Buffer.from(text, 'latin1')
  const ends = [...new Set([...cuts.filter((cut) => cut < bytes.length), bytes.length])].sort((a, b) => a - b)
  let from = 0
  try {
    for (const end of ends) {
      const piece = Buffer.from(bytes.subarray(from, end))
      if (outcome.end === 'switched') outcome.body += piece.toString('latin1')
      else if (piece.length > 0) parser.read(piece, piece.length)
      from = end
    }
    if (closes && outcome.end === 'open' && !parser.finish()) outcome.end = 'broken'
  } catch (error) {
    expect(error).instanceOf(Malformed)
    // What is behind an answer is not its fault, but the end of the connection.
    outcome.canGoOn = false
    if (outcome.end !== 'whole') outcome.end = 'malformed'
  }
  return { ...outcome, ...rest }
}

const ok = 'HTTP/1.1 200 OK\r\n'

describe('response parser', () => {
  describe('finds where an answer ends', () => {
    const whole: [what: string, text: string, body: string, goesOn: boolean, more?: object][] = [
      ['by its length', `${ok}Content-Length: 5\r\n\r\nhello`, 'hello', true],
      ['of length 0', `${ok}Content-Length: 0\r\n\r\n`, '', true],
      [
        'in chunks',
        `${ok}Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0A\r\n0123456789\r\n00\r\n\r\n`,
        'hello0123456789',
        true,
      ],
      [
        'in chunks with extensions',
        `${ok}Transfer-Encoding: chunked\r\n\r\n1;a=b;c="d;e"\r\nx\r\n0;z\r\n\r\n`,
        'x',
        true,
      ],
      ['by the end of the connection', `${ok}\r\nhello`, 'hello', false, { closes: true }],
      ['to HEAD, whatever length it says', `${ok}Content-Length: 5\r\n\r\n`, '', true, { method: 'HEAD' }],
      [
        'to HEAD, said to be in chunks',
        `${ok}Transfer-Encoding: chunked\r\n\r\n`,
        '',
        true,
        { method: 'HEAD' },
      ],
      ['204', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', '', true],
      ['304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', '', true],
      ['without a phrase', 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx', 'x', true],
      [
        'that says that it is the last',
        `${ok}Connection: a, Close\r\nContent-Length: 1\r\n\r\nx`,
        'x',
        false,
      ],
      ['of HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx', 'x', false],
      [
        'of HTTP/1.0 that goes on',
        'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx',
        'x',
        true,
      ],
      ['with bytes behind it', `${ok}Content-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n`, 'x', false],
      ['to HEAD with a body', `${ok}Content-Length: 1\r\n\r\nx`, '', false, { method: 'HEAD' }],
    ]
    for (const [what, text, body, canGoOn, more] of whole) {
      it(`${what}: ${canGoOn ? 'another may come' : 'it was the last'}`, () => {
        expect(read(text, more)).include({ end: 'whole', body, canGoOn })
      })
    }

    it('with trailers, and all that came before it', () => {
      const text = `HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${ok}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 42\r\nX-Empty:\r\n\r\n`
      expect(read(text)).deep.include({
        informed: [103, 100],
        body: 'x',
        trailers: ['X-Sum', '42', 'X-Empty', ''],
      })
    })

    it('not before its bytes have come, however many are missing', () => {
      const text = `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n`
      for (let i = 0; i < text.length; i++) {
        expect(read(text.slice(0, i)).end, text.slice(0, i)).equal('open')
        expect(read(text.slice(0, i), { closes: true }).end).equal('broken')
      }
      expect(read(text).end).equal('whole')
    })
  })

  it('keeps names, values and their order as they came, blanks around values apart', () => {
    const text = `${ok}b:\t 1 \t\r\nB: \xe9\xff\r\na:\r\nC:x y\r\nContent-Length:0\r\n\r\n`
    expect(read(text).headers).deep.equal([
      'b',
      '1',
      'B',
      '\xe9\xff',
      'a',
      '',
      'C',
      'x y',
      'Content-Length',
      '0',
    ])
  })

  it('hands over a connection that speaks another protocol, with what came of that', () => {
    let told: unknown
    const parser = new ResponseParser()
    const none = () => expect.fail('another call')
    parser.begin('GET', {
      ...{ informed: none, head: none, data: none, end: none },
      switched: (protocol, headers, rest) => {
        told = [protocol, headers.raw(), rest.toString()]
      },
    })
    const bytes = Buffer.from('HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\n\r\nearly\0')
    parser.read(bytes, bytes.length - 1)
    expect(told).deep.equal(['WebSocket', ['Upgrade', 'WebSocket'], 'early'])
  })

  it('takes how long the upstream keeps a connection, and stays below it', () => {
    const idleMs = (more: string) => {
      const parser = new ResponseParser()
      const none = () => {}
      parser.begin('GET', { informed: none, head: none, data: none, end: none, switched: none })
      const bytes = Buffer.from(`${ok}Content-Length: 0\r\n${more}\r\n`)
      parser.read(bytes, bytes.length)
      return parser.idleMs
    }
    expect(idleMs('Keep-Alive: timeout=5, max=9\r\n')).equal(4000)
    expect(idleMs('')).equal(Number.POSITIVE_INFINITY)
  })

  it('takes nothing that nobody asked for', () => {
    const parser = new ResponseParser()
    expect(() => parser.read(Buffer.from('H'), 1)).throw(Malformed)
  })

  describe('refuses', () => {
    const heads = {
      'another version': 'HTTP/1.2 200 OK\r\n\r\n',
      'a status below 100': 'HTTP/1.1 099 No\r\n\r\n',
      'a status of four digits': 'HTTP/1.1 2000 OK\r\n\r\n',
      'two blanks before the status': 'HTTP/1.1  200 OK\r\n\r\n',
      'a control character in the phrase': 'HTTP/1.1 200 O\0K\r\n\r\n',
      'an empty line before the status line': '\r\nHTTP/1.1 200 OK\r\n\r\n',
      'DEL in a value': `${ok}A: \x7f\r\n\r\n`,
      'CR at the end of a value': `${ok}A: b\r\r\n\r\n`,
      'a name of other bytes': `${ok}\xe9: b\r\n\r\n`,
      'chunks in HTTP/1.0': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'two codings': `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      'a length that no number holds': `${ok}Content-Length: 9007199254740993\r\n\r\n`,
      'an empty length': `${ok}Content-Length:\r\n\r\n`,
      'a length in a 204, twice': 'HTTP/1.1 204 No Content\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n',
    }
    const chunks = {
      'without a size': '\r\n',
      'with a blank before its size': ' 1\r\nx\r\n0\r\n\r\n',
      'with a blank behind its size': '1 \r\nx\r\n0\r\n\r\n',
      'of a size that no number holds': 'fffffffffffffffff\r\n',
      'of hexadecimal with 0x': '0x1\r\nx\r\n0\r\n\r\n',
      'with CR in an extension': '1;\rx\r\nx\r\n0\r\n\r\n',
      'with NUL in an extension': '1;\0\r\nx\r\n0\r\n\r\n',
      'with an endless extension': `1;${'x'.repeat(5000)}`,
      'with an endless size': '0'.repeat(5000),
      'that ends with LF': '1\r\nx\n0\r\n\r\n',
      'with a coding in the trailers': '0\r\nTransfer-Encoding: chunked\r\n\r\n',
      'with endless trailers': `0\r\n${'a: b\r\n'.repeat(20_000)}`,
    }
    for (const [what, text] of Object.entries(heads))
      it(what, () => expect(read(text)).include({ end: 'malformed', status: undefined }))
    for (const [what, text] of Object.entries(chunks))
      it(`a chunk ${what}`, () =>
        expect(read(`${ok}Transfer-Encoding: chunked\r\n\r\n${text}`).end).equal('malformed'))
  })

  describe('whatever comes', () => {
    const oneOf = (...texts: string[]) => fc.constantFrom(...texts)
    const line = oneOf(
      ...[
        'Content-Length: 5',
        'Content-Length: 0',
        'content-length:3',
        'Content-Length: x',
        'X: y',
        'x:',
        'A: b,c',
      ],
      ...['Transfer-Encoding: chunked', 'transfer-encoding:\tCHUNKED ', 'Transfer-Encoding: gzip, chunked'],
      ...[
        'Connection: close',
        'Connection: keep-alive',
        'Keep-Alive: timeout=5',
        ' folded',
        'X : y',
        'Set-Cookie: \xe9',
      ],
    )
    const status = oneOf(
      ...[
        'HTTP/1.1 200 OK',
        'HTTP/1.1 200 OK',
        'HTTP/1.1 404 Not Found',
        'HTTP/1.0 200 OK',
        'HTTP/1.1 204 ',
        'HTTP/1.1 304 x',
      ],
      ...['HTTP/1.1 200', 'HTTP/1.1 999 ?', 'HTTP/2.0 200 OK', 'HTTP/1.1 20 OK', '', 'http/1.1 200 OK'],
    )
    const end = oneOf('\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '')
    const lineOf = (text: fc.Arbitrary<string>) => fc.tuple(text, end).map((parts) => parts.join(''))
    const chunk = fc.oneof(
      fc.string({ maxLength: 20 }).map((text) => `${text.length.toString(16)}\r\n${text}\r\n`),
      oneOf(
        '2;a=b\r\nxy\r\n',
        '1\nx\n',
        'g\r\n',
        '0\r\n\r\n',
        '0\r\nX-T: 1\r\n\r\n',
        '5\r\nab',
        '\r\n',
        'hello',
      ),
    )
    const answer = fc
      .tuple(
        fc.option(oneOf('HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early\r\nLink: x\r\n\r\n'), {
          nil: '',
        }),
        lineOf(status),
        fc.array(lineOf(line), { maxLength: 4 }).map((lines) => lines.join('')),
        end,
        fc.array(chunk, { maxLength: 4 }).map((chunks) => chunks.join('')),
      )
      .map((parts) => parts.join(''))
    const text = fc.oneof(
      answer,
      answer,
      answer,
      oneOf(...hostileAnswers.map(({ bytes }) => bytes.slice(0, 3000))),
    )
    const method = oneOf('GET', 'GET', 'HEAD')

    it('it is the same in one piece and in any', () => {
      fc.assert(
        fc.property(text, method, fc.boolean(), fc.array(fc.nat(300)), (text, method, closes, cuts) => {
          const each = Array.from({ length: text.length }, (_, i) => i)
          const whole = read(text, { method, closes })
          expect(read(text, { method, closes, cuts })).deep.equal(whole)
          expect(read(text, { method, closes, cuts: each })).deep.equal(whole)
        }),
        { numRuns: 1000 },
      )
    })

    it('what is taken for an answer is the same to the parser of Node, which refuses none of it', async () => {
      let taken = 0
      await fc.assert(
        fc.asyncProperty(text, method, async (text, method) => {
          const { end, status, headers, body, trailers } = read(text, { method, closes: true })
          if (end !== 'whole') return
          taken++
          expect({ status, headers, body, trailers }).deep.equal(await readByNode(text, method))
        }),
        { numRuns: 600 },
      )
      expect(taken).above(50)
    })
  })
})

/** What a client of node:http makes of `text`, after which the connection ends. */
async function readByNode(text: string, method: string) {
  const [ours, theirs] = duplexPair()
  const request = http.request({ method, createConnection: () => ours })
  request.end()
  theirs.resume()
  theirs.end(text, 'latin1')
  const response = await new Promise<IncomingMessage>((resolve, reject) =>
    request.on('response', resolve).on('error', reject),
  )
  let body = ''
  response.setEncoding('latin1')
  for await (const chunk of response) body += chunk
  request.destroy()
  return { status: response.statusCode, headers: response.rawHeaders, body, trailers: response.rawTrailers }
}
