// Bodies in chunks that are not as RFC 9112, 7.1, says. Their heads are fine, so they have begun to go upstream.
import { brokenOff, chunked, closing, type HostileClass, passes } from './hostile-request.ts'

const none = '0\r\n\r\n'
const bad = (name: string, body: string, status = 400) => brokenOff(name, chunked(body), 'POST /', status)
const good = (name: string, body: string, arrives: string) =>
  passes(name, chunked(body), { line: 'POST /', body: arrives, has: ['Transfer-Encoding: chunked'] })

export const chunks: HostileClass = {
  title: 'Chunks',
  requests: [
    bad('a negative size', '-1\r\nabc\r\n'),
    bad('plus', `+3\r\nabc\r\n${none}`),
    bad('0x', `0x3\r\nabc\r\n${none}`),
    bad('a size of 17 digits', 'fffffffffffffffff\r\nabc\r\n'),
    bad('2^64', '10000000000000000\r\nabc\r\n'),
    bad('a word', `three\r\nabc\r\n${none}`),
    bad('no size', `\r\nabc\r\n${none}`),
    bad('no size but an extension', `;a=b\r\nabc\r\n${none}`),
    bad('a blank before the size', ` 3\r\nabc\r\n${none}`),
    bad('a blank behind the size', `3 \r\nabc\r\n${none}`),
    bad('a tab behind the size', `3\t\r\nabc\r\n${none}`),
    bad('a blank before the extension', `3 ;a=b\r\nabc\r\n${none}`),
    bad('a bare LF behind the size', `3\nabc\r\n${none}`),
    bad('a bare CR behind the size', `3\rabc\r\n${none}`),
    bad('a bare LF behind the data', `3\r\nabc\n${none}`),
    bad('nothing behind the data', `3\r\nabc${none}`),
    bad('more data than said', `3\r\nabcd\r\n${none}`),
    bad('less data than said', `5\r\nabc\r\n${none}`),
    bad('a bare LF in the extension', `3;a\nabc\r\n${none}`),
    bad('a bare CR in the extension', `3;a\rb\r\nabc\r\n${none}`),
    bad('NUL in the extension', `3;a\0b\r\nabc\r\n${none}`),
    bad('a control character in the extension', `3;\x01\r\nabc\r\n${none}`),
    bad('an extension of 20,000 bytes', `3;${'a'.repeat(20_000)}\r\nabc\r\n${none}`, 413),
    bad('many extensions', `3${';abc=def'.repeat(5000)}\r\nabc\r\n${none}`, 413),
    good(
      'an extension for each of many chunks',
      `${`1;${'a'.repeat(1000)}\r\nx\r\n`.repeat(20)}${none}`,
      'x'.repeat(20),
    ),
    bad('a bare LF behind the last size', '0\n\n'),
    bad('a bare LF at the very end', '0\r\n\n'),
    bad('a trailer without a colon', '0\r\nfoo\r\n\r\n'),
    bad('a trailer that goes on in the next line', '0\r\nA: b\r\n c\r\n\r\n'),
    bad('a trailer with a blank before the colon', '0\r\nA : b\r\n\r\n'),
    bad('a trailer with a bare LF', '0\r\nA: b\nC: d\r\n\r\n'),
    bad('a trailer with NUL', '0\r\nA: \0\r\n\r\n'),
    bad('Content-Length in the trailers', '0\r\nContent-Length: 5\r\n\r\n'),
    bad('two lengths in the trailers', '0\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n'),
    bad('Transfer-Encoding in the trailers', '0\r\nTransfer-Encoding: chunked\r\n\r\n'),
    bad('trailers of 50,000 bytes', `0\r\n${`A: ${'b'.repeat(1000)}\r\n`.repeat(50)}\r\n`, 431),
    good('an extension', `3;a=b\r\nabc\r\n${none}`, 'abc'),
    good('an extension in quotes', `3;a="b;\\"c"\r\nabc\r\n${none}`, 'abc'),
    good('zeros before the size', `0000000003\r\nabc\r\n${none}`, 'abc'),
    good('zeros for the last size', '3\r\nabc\r\n000\r\n\r\n', 'abc'),
    good('capitals', `A\r\nabcdefghij\r\n${none}`, 'abcdefghij'),
    passes(
      'Host, Authorization and X-Consumer-ID in the trailers',
      chunked('0\r\nHost: b\r\nAuthorization: x\r\nX-Consumer-ID: 1\r\nX-Sum: 1\r\n\r\n'),
      {
        ...{ line: 'POST /', body: '' },
      },
    ),
    closing({
      ...passes('garbage behind the last chunk', chunked(`${none}garbage\r\n\r\n`), {
        line: 'POST /',
        body: '',
      }),
      statuses: [200, 400],
    }),
  ],
}
