// What upstreams may say instead of an answer, as data.

export interface HostileAnswer {
  readonly name: string
  /** Each character is a byte. */
  readonly bytes: string
  /** Whether the upstream closes after it. */
  readonly closes?: boolean
  /** What the client gets; `cut`: the beginning of an answer that can't be taken for a whole one. */
  readonly status: number | 'cut'
}

const ok = 'HTTP/1.1 200 OK\r\n'
const answer = (...lines: readonly string[]) => `${ok}${lines.join('\r\n')}\r\n\r\n`
const refused = (name: string, bytes: string): HostileAnswer => ({ name, bytes, status: 502 })
const cut = (name: string, bytes: string, closes = false): HostileAnswer => ({
  name,
  bytes,
  closes,
  status: 'cut',
})

export const hostileAnswers: readonly HostileAnswer[] = [
  refused(
    'Content-Length with Transfer-Encoding',
    `${answer('Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
  ),
  refused(
    'Transfer-Encoding with Content-Length',
    `${answer('Transfer-Encoding: chunked', 'Content-Length: 5')}0\r\n\r\n`,
  ),
  refused('two lengths that differ', `${answer('Content-Length: 5', 'Content-Length: 6')}hello!`),
  refused('two lengths that are the same', `${answer('Content-Length: 5', 'Content-Length: 5')}hello`),
  refused('a list of lengths', `${answer('Content-Length: 5, 5')}hello`),
  refused('a negative length', answer('Content-Length: -1')),
  refused('a length with plus', `${answer('Content-Length: +5')}hello`),
  refused('a length of 20 digits', answer('Content-Length: 99999999999999999999')),
  refused('chunked twice', `${answer('Transfer-Encoding: chunked, chunked')}0\r\n\r\n`),
  refused('gzip, chunked', `${answer('Transfer-Encoding: gzip, chunked')}0\r\n\r\n`),
  refused('identity', `${answer('Transfer-Encoding: identity')}hello`),
  refused('a header that goes on in the next line', answer('X: y', ' z')),
  refused('a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'),
  refused('a bare LF behind a header', `${ok}X: y\nContent-Length: 0\r\n\r\n`),
  refused('a bare CR in a header', answer('X: y\rSet-Cookie: z', 'Content-Length: 0')),
  refused('NUL in a header', answer('X: y\0', 'Content-Length: 0')),
  refused('a blank before a colon', answer('X : y', 'Content-Length: 0')),
  refused('a header without a name', answer(': y', 'Content-Length: 0')),
  refused('no status', 'HTTP/1.1\r\n\r\n'),
  refused('a status of letters', 'HTTP/1.1 OK\r\n\r\n'),
  refused('a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'),
  refused('no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n'),
  refused('a version that there is not', 'HTTP/7.1 200 OK\r\nContent-Length: 0\r\n\r\n'),
  refused('100,000 bytes of headers', answer(`X: ${'y'.repeat(100_000)}`)),
  refused('headers without end', `${ok}${`X: ${'y'.repeat(100)}\r\n`.repeat(2000)}`),
  refused(
    '101 that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  ),
  refused(
    'a thousand informational heads',
    `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(1000)}`,
  ),
  { ...refused('nothing', ''), closes: true },
  { ...refused('half a status line', 'HTTP/1.1 20'), closes: true },
  { ...refused('half a head', `${ok}X: y\r\n`), closes: true },
  cut('less than said', `${answer('Content-Length: 10')}hello`, true),
  cut('chunks without an end', `${answer('Transfer-Encoding: chunked')}5\r\nhello\r\n`, true),
  cut('a chunk size that is none', `${answer('Transfer-Encoding: chunked')}5\r\nhello\r\nx\r\n`),
  cut('a chunk longer than said', `${answer('Transfer-Encoding: chunked')}2\r\nhello\r\n0\r\n\r\n`),
  cut('a chunk with a bare LF', `${answer('Transfer-Encoding: chunked')}5\nhello\n0\n\n`),
  cut('a negative chunk', `${answer('Transfer-Encoding: chunked')}5\r\nhello\r\n-1\r\n`),
  cut('a length in the trailers', `${answer('Transfer-Encoding: chunked')}0\r\nContent-Length: 5\r\n\r\n`),
]
