// Request lines: targets that mean one thing here and another there, methods, versions, and what is no HTTP at all.
import {
  answered,
  closing,
  get,
  type HostileClass,
  head,
  type Passed,
  passes,
  refused,
} from './hostile-request.ts'

const line = (text: string) => head(text, 'Host: test')
const target = (text: string) => line(`GET ${text} HTTP/1.1`)
/** Routed by its path alone. */
const byPath = (path: string) => head(`GET ${path} HTTP/1.1`, 'Host: nobody.example')
const literal = (name: string, path: string) => passes(name, target(path), `GET ${path}`)

export const targets: HostileClass = {
  title: 'Targets',
  requests: [
    refused('a fragment', target('/a#b')),
    refused('a fragment behind a query', target('/a?b#c')),
    refused('a blank within', target('/a b')),
    refused('a tab within', target('/a\tb')),
    refused('NUL', target('/a\0b')),
    refused('a control character', target('/a\x01b')),
    refused('DEL', target('/a\x7fb')),
    refused('8 bits', target('/\xe9')),
    refused('UTF-8', target('/\xc3\xa9')),
    refused('a bare CR', target('/a\rb')),
    refused('a bare LF', target('/a\nb')),
    refused('nothing', line('GET  HTTP/1.1')),
    refused('a path without a slash', target('a')),
    refused('a backslash for the slash', target('\\a')),
    refused('a query without a path', target('?a')),
    refused('a host and a port (authority-form)', target('test:80')),
    refused('another scheme without slashes', target('data:x')),
    answered('another scheme', target('ftp://test/'), 400),
    answered('an asterisk for GET', target('*'), 400),
    answered('an asterisk for OPTIONS', line('OPTIONS * HTTP/1.1'), 400),
    refused('a URL with a user', target('http://user@test/')),
    refused('a URL with user and password', target('http://user:password@test/')),
    refused('a URL without a host', target('http:///a')),
    refused('a URL with an invalid port', target('http://test:http/')),
    refused('a URL with a backslash', target('http://test\\@other/')),
    answered('a URL with a host that nobody has', target('http://nobody.example/'), 404),
    passes('a URL', target('http://test:80/a?b'), 'GET /a?b'),
    passes('a URL for https on the port for HTTP', target('https://test/a'), {
      line: 'GET /a',
      has: ['X-Forwarded-Proto: http'],
    }),
    passes('a URL without a path', target('http://test'), 'GET /'),
    literal('up', '/a/../../etc/passwd'),
    literal('up, encoded', '/a/%2e%2e/%2E%2E/etc/passwd'),
    literal('up, encoded twice', '/a/%252e%252e/etc/passwd'),
    literal('up, with backslashes', '/a\\..\\..\\etc'),
    literal('up, with encoded backslashes', '/a%5c..%5c'),
    literal('up, with a parameter', '/a/..;/b'),
    literal('up, by overlong UTF-8', '/a/%c0%ae%c0%ae/'),
    literal('up, by wide letters', '/a/%ef%bc%8e%ef%bc%8e/'),
    literal('an encoded NUL', '/a%00.png'),
    literal('an encoded line break', '/a%0d%0aX:%20y'),
    literal('slashes', '//a///b'),
    literal('two slashes and a host', '//other/a'),
    literal('no hexadecimal behind the percent sign', '/%zz%'),
    literal('what a URL may not have', '/"<>{}|^`'),
    literal('question marks', '/a??b?c'),
    answered('the path of an API, with a dot for its letter', byPath('/pat.'), 404),
    answered('the path of an API, in capitals', byPath('/PATH'), 404),
    answered('the path of an API, with an encoded letter', byPath('/%70ath'), 404),
    answered('the path of an API, behind another slash', byPath('//path'), 404),
    answered('the path of an API, behind a dot', byPath('/./path'), 404),
    answered('the path of an API, by a way round', byPath('/a/../path'), 404),
    answered('the path of an API, with an encoded slash behind', byPath('/path%2fa'), 404),
    answered('the path of an API, with a backslash behind', byPath('/path\\a'), 404),
    answered('the path of an API, with a semicolon behind', byPath('/path;a'), 404),
    passes('the way out of an API’s path', byPath('/path/../other'), 'GET /path/../other'),
    passes('a blank more before the target', line('GET  / HTTP/1.1'), 'GET /'),
    passes('a blank more behind the target', line('GET /  HTTP/1.1'), 'GET /'),
  ],
}

const withMethod = (method: string) => line(`${method} / HTTP/1.1`)

export const methods: HostileClass = {
  title: 'Methods',
  requests: [
    refused('TRACE', withMethod('TRACE'), 405),
    refused('CONNECT', line('CONNECT test:80 HTTP/1.1'), 405),
    refused('CONNECT with a path', line('CONNECT / HTTP/1.1'), 405),
    refused('one of RTSP', withMethod('DESCRIBE')),
    refused('an unknown one', withMethod('FOO')),
    refused('lower case', withMethod('get')),
    refused('mixed case', withMethod('Get')),
    refused('one that goes on', withMethod('GETX')),
    refused('an underscore', withMethod('GE_T')),
    refused('8 bits', withMethod('G\xc9T')),
    refused('none', line(' / HTTP/1.1')),
    refused('a blank before it', withMethod(' GET')),
    refused('a tab behind it', line('GET\t/ HTTP/1.1')),
    refused('a colon behind it', line('GET: / HTTP/1.1')),
    refused('NUL behind it', line('GET\0 / HTTP/1.1')),
    passes('one with a hyphen', withMethod('M-SEARCH'), 'M-SEARCH /'),
    passes('X-HTTP-Method-Override changes nothing', get('X-HTTP-Method-Override: DELETE'), 'GET /'),
    passes('empty lines before it', `\r\n\r\n${withMethod('GET')}`, 'GET /'),
  ],
}

const version = (text: string) => line(`GET / ${text}`)

export const versions: HostileClass = {
  title: 'Versions and other protocols',
  requests: [
    refused('HTTP/0.9, without a version', 'GET /\r\n\r\n', 505),
    refused('HTTP/0.9, with one', version('HTTP/0.9'), 505),
    refused('HTTP/1.2', version('HTTP/1.2'), 505),
    refused('HTTP/2.0', version('HTTP/2.0'), 505),
    refused('HTTP/3.0', version('HTTP/3.0'), 505),
    refused('HTTP/1', version('HTTP/1')),
    refused('HTTP/1.', version('HTTP/1.')),
    refused('HTTP/01.1', version('HTTP/01.1')),
    refused('HTTP/1.10', version('HTTP/1.10')),
    refused('HTTP/1.1 and more', version('HTTP/1.1x')),
    refused('HTTP/1.1 and a blank', version('HTTP/1.1 ')),
    refused('HTTP/-1.1', version('HTTP/-1.1')),
    refused('http/1.1', version('http/1.1')),
    refused('a tab before it', line('GET /\tHTTP/1.1')),
    refused('another protocol', version('FTP/1.1')),
    refused('ICE', version('ICE/1.0')),
    refused('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505),
    refused('a ClientHello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
    refused('SSH', 'SSH-2.0-OpenSSH_9.9\r\n'),
    refused('SMTP', 'EHLO example.com\r\n'),
    refused('a response', 'HTTP/1.1 200 OK\r\n\r\n'),
    refused('the PROXY protocol', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${get()}`),
    refused('the PROXY protocol, version 2', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c'),
    refused('NULs', '\0'.repeat(100)),
    refused('noise', '\x80\xfe\x01\x99\r\n\r\n'),
    closing(passes('HTTP/1.0', line('GET / HTTP/1.0'), 'GET /')),
  ],
}

const seen = (has: readonly string[], lacks: readonly string[] = []): Passed => ({
  line: 'GET /',
  has,
  lacks,
})
const local = ['X-Real-IP: 127.0.0.1', 'X-Forwarded-For: 127.0.0.1', 'X-Forwarded-Proto: http']
const gone = (name: string, ...lines: readonly string[]) =>
  passes(
    name,
    get(...lines),
    seen(
      local,
      lines.map((text) => (text.split(':')[0] as string).toLowerCase()),
    ),
  )

export const claims: HostileClass = {
  title: 'What only the gateway may say',
  requests: [
    gone(
      'X-Consumer-*',
      'X-Consumer-ID: 1',
      'X-Consumer-Username: root',
      'X-Consumer-Custom-ID: 1',
      'X-Consumer-Groups: admin',
    ),
    gone('X-Consumer-*, that nobody has thought of', 'X-Consumer-Anything: 1'),
    gone('in any case', 'x-consumer-id: 1', 'X-CONSUMER-USERNAME: root'),
    gone('with underscores', 'X_Consumer_ID: 1', 'X-Consumer_Username: root', 'X_Consumer-Groups: admin'),
    gone('X-Credential-Username', 'X-Credential-Username: root', 'X_Credential_Username: root'),
    gone(
      'X-Authenticated-*',
      'X-Authenticated-Scope: all',
      'X-Authenticated-Userid: 1',
      'X_Authenticated_Groups: all',
    ),
    gone('X-Forwarded-Prefix', 'X-Forwarded-Prefix: /admin', 'X_Forwarded_Prefix: /admin'),
    gone('the position of another log', 'X_Troop_Min_Position: 5'),
    gone(
      'the forwarding fields with underscores',
      'X_Real_IP: 9.9.9.9',
      'X_Forwarded_For: 9.9.9.9',
      'X_Forwarded_Proto: https',
      'X_Forwarded_Host: other',
    ),
    passes('X-Real-IP', get('X-Real-IP: 9.9.9.9'), seen(local, ['x-real-ip: 9.9.9.9'])),
    passes(
      'X-Forwarded-For',
      get('X-Forwarded-For: 9.9.9.9'),
      seen(['X-Forwarded-For: 9.9.9.9, 127.0.0.1', 'X-Real-IP: 127.0.0.1']),
    ),
    passes('X-Forwarded-Proto', get('X-Forwarded-Proto: https'), seen(local, ['x-forwarded-proto: https'])),
    passes(
      'X-Forwarded-Host',
      get('X-Forwarded-Host: other'),
      seen(['X-Forwarded-Host: test'], ['x-forwarded-host: other']),
    ),
    passes(
      'Via with a line break encoded',
      get('X-Forwarded-Host: a%0d%0aX-Evil: 1'),
      seen(['X-Forwarded-Host: test'], ['x-evil']),
    ),
  ],
}

const named = (...names: readonly string[]) => `Connection: ${names.join(', ')}`

export const hops: HostileClass = {
  title: 'Connection names fields',
  requests: [
    passes(
      'what the gateway sets',
      get(named('X-Real-IP', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host')),
      seen([...local, 'X-Forwarded-Host: test']),
    ),
    passes('Host', get(named('Host')), seen([])),
    passes('Content-Length', `${get(named('Content-Length'), 'Content-Length: 5')}hello`, {
      ...seen([]),
      body: 'hello',
    }),
    passes(
      'Transfer-Encoding',
      `${get(named('Transfer-Encoding'), 'Transfer-Encoding: chunked')}2\r\nhi\r\n0\r\n\r\n`,
      { ...seen([]), body: 'hi' },
    ),
    passes(
      'Authorization',
      get(named('Authorization'), 'Authorization: Basic eDp5'),
      seen([], ['authorization']),
    ),
    passes('Cookie', get(named('Cookie'), 'Cookie: a=b'), seen([], ['cookie'])),
    passes(
      'a field of the client’s own',
      get(named('X-Own'), 'X-Own: 1'),
      seen([], ['x-own', 'connection: x-own']),
    ),
    passes('itself', get(named('Connection')), seen([])),
    passes('nothing', get('Connection:'), seen([])),
    passes('commas', get('Connection: ,,,'), seen([])),
    passes('a thousand names', get(named(...Array.from({ length: 1000 }, (_, i) => `x${i}`))), seen([])),
    answered(
      'what authentication needs',
      get(named('apikey'), 'apikey: secret').replace('test', 'keyed'),
      401,
    ),
    passes(
      'who the consumer is',
      get(named('X-Consumer-Username', 'X-Consumer-ID'), 'apikey: secret').replace('test', 'keyed'),
      {
        ...seen(['X-Consumer-Username: bob']),
      },
    ),
    answered('what authentication does not know', get(named('x'), 'x: secret').replace('test', 'keyed'), 401),
    passes(
      'Proxy-Connection and Keep-Alive',
      get('Proxy-Connection: keep-alive', 'Keep-Alive: timeout=1'),
      seen([], ['proxy-connection', 'keep-alive']),
    ),
    passes('TE', get('Connection: TE', 'TE: trailers'), seen([], ['te'])),
    closing(passes('close', get('Connection: close'), seen([], ['connection: close']))),
    closing(
      passes(
        'close in two fields',
        get('Connection: keep-alive', 'Connection: close'),
        seen([], ['connection: close']),
      ),
    ),
  ],
}

const expecting = (...values: readonly string[]) =>
  `${get('Content-Length: 2', ...values.map((value) => `Expect: ${value}`))}hi`
const upgrade = (...lines: readonly string[]) => get('Connection: Upgrade', ...lines)
const untold: Passed = { line: 'GET /', lacks: ['upgrade', 'http2-settings', 'connection: upgrade'] }

export const switches: HostileClass = {
  title: 'Expect and Upgrade',
  requests: [
    refused('an expectation that nobody knows', expecting('magic'), 417),
    refused('one behind another', expecting('100-continue, magic'), 417),
    refused('one before another', expecting('magic, 100-continue'), 417),
    refused('two fields', expecting('100-continue', 'magic'), 417),
    refused('an expectation with a parameter', expecting('100-continue;a'), 417),
    refused('an expectation that goes on', expecting('100-continued'), 417),
    refused('an empty expectation', expecting(''), 417),
    {
      ...passes('100-continue, and the body at once', expecting('100-Continue'), {
        line: 'GET /',
        body: 'hi',
        lacks: ['expect'],
      }),
      statuses: [100, 200],
    },
    closing(
      passes('an expectation in HTTP/1.0', head('GET / HTTP/1.0', 'Host: test', 'Expect: magic'), {
        line: 'GET /',
        lacks: ['expect'],
      }),
    ),
    passes('h2c', upgrade('Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'), {
      ...untold,
      lacks: ['upgrade'],
    }),
    passes('h2c in a list', upgrade('Upgrade: websocket, h2c'), untold),
    passes('TLS', upgrade('Upgrade: TLS/1.0'), untold),
    passes('websocket that Connection does not name', get('Upgrade: websocket'), untold),
    passes(
      'websocket by POST',
      `${upgrade('Upgrade: websocket', 'Content-Length: 2').replace('GET', 'POST')}hi`,
      { line: 'POST /', body: 'hi', lacks: ['upgrade'] },
    ),
    passes('websocket with a body', `${upgrade('Upgrade: websocket', 'Content-Length: 2')}hi`, {
      ...untold,
      body: 'hi',
    }),
    passes(
      'websocket with chunks',
      `${upgrade('Upgrade: websocket', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
      untold,
    ),
    refused(
      'websocket with two framings',
      `${upgrade('Upgrade: websocket', 'Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    ),
    refused('websocket without Host', upgrade('Upgrade: websocket').replace('Host: test\r\n', '')),
    refused('websocket with two Hosts', upgrade('Upgrade: websocket', 'Host: other')),
    refused('websocket with a fragment', upgrade('Upgrade: websocket').replace('/ ', '/#a ')),
  ],
}
