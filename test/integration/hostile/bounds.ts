// Heads beyond the bounds of `proxy.head_bytes_max` and so on, at their defaults; and requests behind each other.
import { answered, closing, get, type HostileClass, head, passes, post, refused } from './hostile-request.ts'

const lines = (count: number, bytes = 1) =>
  Array.from({ length: count }, (_, i) => `X${i}: ${'y'.repeat(bytes)}`)
const target = (bytes: number) => `/${'a'.repeat(bytes - 1)}`
/** What a request line has besides. */
const around = 'GET  HTTP/1.1'.length

export const bounds: HostileClass = {
  title: 'Bounds',
  requests: [
    refused(
      'a request line of 8,193 bytes',
      head(`GET ${target(8193 - around)} HTTP/1.1`, 'Host: test'),
      414,
    ),
    refused('a query of 20,000 bytes', head(`GET /?${'a'.repeat(20_000)} HTTP/1.1`, 'Host: test'), 414),
    refused('a header line of 20,000 bytes', get(`X: ${'y'.repeat(20_000)}`), 431),
    refused('a name of 20,000 bytes', get(`${'X'.repeat(20_000)}: y`), 431),
    refused('cookies of 20,000 bytes', get(`Cookie: ${'a=b; '.repeat(4000)}`), 431),
    refused('300 header lines', get(...lines(300)), 431),
    refused('10,000 header lines', get(...lines(10_000)), 431),
    refused('header lines of 40,000 bytes together', get(...lines(40, 1000)), 431),
    refused('header lines without end', `${get(...lines(100, 1000)).trimEnd()}`, 431),
    passes(
      'a request line of 8,192 bytes',
      head(`GET ${target(8192 - around)} HTTP/1.1`, 'Host: test'),
      `GET ${target(8192 - around)}`,
    ),
    passes('a header line of 16,000 bytes', get(`X: ${'y'.repeat(16_000)}`), {
      line: 'GET /',
      has: [`X: ${'y'.repeat(16_000)}`],
    }),
    passes('255 header lines and Host', get(...lines(255)), { line: 'GET /', has: ['X254: y'] }),
  ],
}

export const pipelines: HostileClass = {
  title: 'Requests behind each other',
  requests: [
    passes('two', get() + get('X: 2'), 'GET /', 'GET /'),
    passes('a hundred', get().repeat(100), ...Array.from({ length: 100 }, () => 'GET /')),
    passes(
      'a body between two',
      get() + post(['Content-Length: 2'], 'hi') + get(),
      'GET /',
      { line: 'POST /', body: 'hi' },
      'GET /',
    ),
    closing({ ...passes('garbage behind one', `${get()}garbage\r\n\r\n`, 'GET /'), statuses: [200, 400] }),
    closing({
      ...passes('garbage behind two', `${get()}${get()}\0`, 'GET /', 'GET /'),
      statuses: [200, 200, 400],
    }),
    closing({
      ...passes(
        'two framings behind one',
        get() + post(['Content-Length: 1', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
        'GET /',
      ),
      statuses: [200, 400],
    }),
    closing({
      ...passes('no Host behind one', get() + head('GET / HTTP/1.1'), 'GET /'),
      statuses: [200, 400],
    }),
    closing({
      ...passes('more bytes than said behind one', `${post(['Content-Length: 2'], 'hi')}more`, 'POST /'),
      statuses: [200, 400],
    }),
    closing({
      ...passes(
        'a chunk that is none behind one',
        `${get()}${post(['Transfer-Encoding: chunked'])}x\r\n`,
        'GET /',
      ),
      statuses: [200, 400],
    }),
    refused('one behind garbage', `garbage\r\n\r\n${get()}`),
    refused(
      'one behind two framings',
      post(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n') + get(),
    ),
    refused('one behind a request without Host', head('GET / HTTP/1.1') + get()),
    {
      ...answered(
        'one behind an API that there is not',
        get().replace('test', 'nobody.example') + get(),
        404,
      ),
      statuses: [404, 200],
      passed: [{ line: 'GET /' }],
    },
    closing(passes('one behind the last', get('Connection: close') + get(), 'GET /')),
  ],
}
