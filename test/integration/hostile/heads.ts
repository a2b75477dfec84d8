// Header lines that are none, and lines of which some servers would make two.
import { closing, get, type HostileClass, head, passes, refused } from './hostile-request.ts'

const tokens = ['(', ')', ',', '/', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}', '"']

export const fields: HostileClass = {
  title: 'Header lines',
  requests: [
    refused('goes on in the next line', get('A: b\r\n c')),
    refused('goes on in the next line by a tab', get('A: b\r\n\tc')),
    refused('begins in the next line', get('A:\r\n b')),
    refused('the first line is blank', head('GET / HTTP/1.1', ' Host: test')),
    refused('bare LFs everywhere', 'GET / HTTP/1.1\nHost: test\n\n'),
    refused('a bare LF behind a value', get('A: b\nC: d')),
    refused('a bare LF behind the request line', 'GET / HTTP/1.1\nHost: test\r\n\r\n'),
    refused('a bare LF at the end of the head', 'GET / HTTP/1.1\r\nHost: test\r\n\n'),
    refused('bare CRs everywhere', 'GET / HTTP/1.1\rHost: test\r\r'),
    refused('a bare CR in a value', get('A: b\rC: d')),
    refused('CR, CR, LF', get('A: b\r')),
    refused('NUL in a value', get('A: b\0c')),
    refused('NUL in a name', get('A\0: b')),
    refused('a blank before the colon', get('A : b')),
    refused('a tab before the colon', get('A\t: b')),
    refused('a blank within the name', get('A B: c')),
    refused('no name', get(': b')),
    refused('no colon', get('A')),
    refused('a name of 8 bits', get('\xe9: b')),
    refused('a control character in the name', get('A\x01: b')),
    refused('DEL in the name', get('A\x7f: b')),
    ...tokens.map((token) => refused(`${token} in the name`, get(`A${token}: b`))),
    ...[0x01, 0x08, 0x0b, 0x0c, 0x1b, 0x7f].map((code) =>
      refused(`byte ${code} in a value`, get(`A: b${String.fromCharCode(code)}c`)),
    ),
    passes('8 bits in a value', get('A: \xe9\xff'), { line: 'GET /', has: ['A: \xe9\xff'] }),
    passes('a tab in a value', get('A: b\tc'), { line: 'GET /', has: ['A: b\tc'] }),
    passes('a value of nothing', get('A:'), { line: 'GET /', has: ['A: '] }),
    passes('a name of all that a token may have', get("!#$%&'*+.^_`|~09Az-: b"), {
      line: 'GET /',
      has: ["!#$%&'*+.^_`|~09Az-: b"],
    }),
    passes('__proto__ and constructor', get('__proto__: a', 'constructor: b'), {
      line: 'GET /',
      has: ['__proto__: a', 'constructor: b'],
    }),
    passes('a line break that is encoded', get('A: %0d%0aB: c'), { line: 'GET /', has: ['A: %0d%0aB: c'] }),
  ],
}

const host = (...lines: readonly string[]) => head('GET / HTTP/1.1', ...lines)

export const hosts: HostileClass = {
  title: 'Host',
  requests: [
    refused('none', head('GET / HTTP/1.1')),
    refused('two that differ', host('Host: test', 'Host: other')),
    refused('two that are the same', host('Host: test', 'Host: test')),
    refused('the second spelled otherwise', host('Host: test', 'hOST: other')),
    refused('nothing', host('Host:')),
    refused('nothing but blanks', host('Host:   ')),
    refused('a blank within', host('Host: te st')),
    refused('a list', host('Host: test, other')),
    refused('a path', host('Host: test/../admin')),
    refused('a query', host('Host: test?x')),
    refused('a fragment', host('Host: test#x')),
    refused('a user', host('Host: user@test')),
    refused('a scheme', host('Host: http://test')),
    refused('a backslash', host('Host: test\\x')),
    refused('quotes', host('Host: "test"')),
    refused('8 bits', host('Host: t\xe9st')),
    refused('a blank of 8 bits before it', host('Host: \xa0test')),
    refused('a tab within', host('Host: te\tst')),
    refused('a port that is none', host('Host: test:http')),
    refused('two ports', host('Host: test:80:81')),
    refused('a negative port', host('Host: test:-1')),
    refused('a port of six digits', host('Host: test:123456')),
    refused('a bracket too few', host('Host: [::1')),
    refused('brackets around a name', host('Host: [test]')),
    refused('a blank before the colon', host('Host : test')),
    refused('an override with a blank', host('Host: nobody.example', 'X-Host-Override: te st')),
    refused('an override with a path', host('Host: nobody.example', 'X-Host-Override: test/x')),
    refused('an override of 8 bits', host('Host: nobody.example', 'X-Host-Override: t\xe9st')),
    closing(passes('none in HTTP/1.0', head('GET /path HTTP/1.0'), { line: 'GET /path' })),
    closing(refused('two in HTTP/1.0', head('GET /path HTTP/1.0', 'Host: a', 'Host: b'))),
    passes('a port', host('Host: test:8000'), 'GET /'),
    passes('capitals', host('Host: TEST'), 'GET /'),
    passes('an override that is not needed', host('Host: test', 'X-Host-Override: nobody.example'), 'GET /'),
    passes(
      'an override twice',
      host('Host: nobody.example', 'X-Host-Override: none', 'X-Host-Override: test'),
      {
        ...{ line: 'GET /', has: ['X-Forwarded-Host: test'] },
      },
    ),
    passes('a target with another host counts', host('Host: nobody.example').replace('/ ', 'http://test/ '), {
      ...{ line: 'GET /', has: ['X-Forwarded-Host: test'] },
    }),
  ],
}
