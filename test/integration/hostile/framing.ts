// How long is the body? Requests that say it in more than one way, or in none that all servers understand.
import {
  answered,
  chunked,
  closing,
  get,
  type HostileClass,
  head,
  passes,
  post,
  refused,
} from './hostile-request.ts'

const length = (...values: readonly string[]) => values.map((value) => `Content-Length:${value}`)
const coding = (...values: readonly string[]) => values.map((value) => `Transfer-Encoding:${value}`)
const none = '0\r\n\r\n'
const smuggled = head('GET /smuggled HTTP/1.1', 'Host: test')

export const lengths: HostileClass = {
  title: 'Content-Length',
  requests: [
    refused('two that differ', post(length(' 5', ' 6'), 'hello!')),
    refused('two that are the same', post(length(' 5', ' 5'), 'hello')),
    refused('a list that differs', post(length(' 5, 6'), 'hello!')),
    refused('a list of the same', post(length(' 5, 5'), 'hello')),
    refused('a comma behind', post(length(' 5,'), 'hello')),
    refused('plus', post(length(' +5'), 'hello')),
    refused('minus', post(length(' -5'), 'hello')),
    refused('minus nothing', post(length(' -0'))),
    refused('hexadecimal', post(length(' 0x5'), 'hello')),
    refused('hexadecimal without 0x', post(length(' a'), 'hellohello')),
    refused('octal', post(length(' 0o5'), 'hello')),
    refused('an exponent', post(length(' 1e1'), 'hellohello')),
    refused('a fraction', post(length(' 5.0'), 'hello')),
    refused('an underscore', post(length(' 1_0'), 'hellohello')),
    refused('a blank within', post(length(' 1 0'), 'hellohello')),
    refused('a vertical tab behind', post(length(' 5\x0b'), 'hello')),
    refused('a form feed before', post(length(' \x0c5'), 'hello')),
    refused('NUL behind', post(length(' 5\0'), 'hello')),
    refused('a no-break space before', post(length(' \xa05'), 'hello')),
    refused('digits of another script', post(length(' \xd9\xa5'), 'hello')),
    refused('quotes', post(length(' "5"'), 'hello')),
    refused('nothing', post(length(''))),
    refused('nothing but blanks', post(length('   '))),
    refused('a word', post(length(' many'), 'hello')),
    refused('2^64 + 1', post(length(' 18446744073709551617'), 'h')),
    refused('2^63', post(length(' 9223372036854775808'), 'h')),
    refused('2^53', post(length(' 9007199254740992'), 'h')),
    refused('a thousand digits', post(length(` 1${'0'.repeat(1000)}`), 'h')),
    refused('on the next line', post(['Content-Length:\r\n 5'], 'hello')),
    refused('goes on in the next line', post(['Content-Length: 5\r\n 0'], 'hello')),
    refused('a blank before the colon', post(['Content-Length : 5'], 'hello')),
    refused(
      'the second after another field',
      post(['Content-Length: 5', 'X: y', 'content-length: 0'], 'hello'),
    ),
    passes('a tab before', post(length('\t5'), 'hello'), {
      line: 'POST /',
      body: 'hello',
      has: ['Content-Length: 5'],
    }),
    passes('blanks around', post(length('  5  '), 'hello'), { line: 'POST /', body: 'hello' }),
    passes('zeros before', post(length(' 0005'), 'hello'), {
      line: 'POST /',
      body: 'hello',
      has: ['Content-Length: 5'],
    }),
    passes('only zeros', post(length(' 000')), { line: 'POST /', body: '', has: ['Content-Length: 0'] }),
    passes('Content_Length beside', post(['Content-Length: 5', 'Content_Length: 0'], 'hello'), {
      ...{ line: 'POST /', body: 'hello', lacks: ['content_length'] },
    }),
    passes('a body of GET', `${get('Content-Length: 5')}hello`, { line: 'GET /', body: 'hello' }),
    passes('a POST without any', post([]), { line: 'POST /', body: '', has: ['Content-Length: 0'] }),
  ],
}

export const codings: HostileClass = {
  title: 'Transfer-Encoding',
  requests: [
    refused(
      'with Content-Length (CL.TE)',
      post(['Content-Length: 6', 'Transfer-Encoding: chunked'], `${none}G`),
    ),
    refused(
      'with Content-Length (TE.CL)',
      post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `5c\r\n${none}`),
    ),
    refused('with Content-Length: 0', post(['Content-Length: 0', 'Transfer-Encoding: chunked'], none)),
    refused('gzip with Content-Length', post(['Content-Length: 0', 'Transfer-Encoding: gzip'])),
    refused(
      'identity with Content-Length',
      post(['Content-Length: 5', 'Transfer-Encoding: identity'], 'hello'),
    ),
    refused('chunked twice', post(coding(' chunked, chunked'), none)),
    refused('two fields, both chunked', post(coding(' chunked', ' chunked'), none)),
    refused('two fields, chunked then identity (TE.TE)', post(coding(' chunked', ' identity'), none)),
    refused('two fields, identity then chunked (TE.TE)', post(coding(' identity', ' chunked'), none)),
    refused('two fields, chunked then junk (TE.TE)', post(coding(' chunked', ' x'), none)),
    refused('two fields, junk then chunked (TE.TE)', post(coding(' x', ' chunked'), none)),
    refused('two fields, gzip then chunked', post(coding(' gzip', ' chunked'), none)),
    refused('identity', post(coding(' identity'), 'hello')),
    refused('identity, chunked', post(coding(' identity, chunked'), none)),
    refused('xchunked', post(coding(' xchunked'), none)),
    refused('chunkedx', post(coding(' chunkedx'), none)),
    refused('chunked, gzip', post(coding(' chunked, gzip'), none)),
    refused('chunked, identity', post(coding(' chunked, identity'), none)),
    refused('gzip', post(coding(' gzip'), 'hello')),
    refused('gzip, chunked', post(coding(' gzip, chunked'), none), 501),
    refused('deflate, chunked', post(coding(' deflate,chunked'), none), 501),
    refused('unknown, chunked', post(coding(' br, chunked'), none)),
    refused('a comma before', post(coding(' ,chunked'), none)),
    refused('a comma behind', post(coding(' chunked,'), none)),
    refused('nothing', post(coding(''), none)),
    refused('nothing but blanks', post(coding('  '), none)),
    refused('quotes', post(coding(' "chunked"'), none)),
    refused('single quotes', post(coding(" 'chunked'"), none)),
    refused('a parameter', post(coding(' chunked;q=1'), none)),
    refused('a tab behind', post(coding(' chunked\t'), none)),
    refused('a vertical tab before', post(coding(' \x0bchunked'), none)),
    refused('a form feed behind', post(coding(' chunked\x0c'), none)),
    refused('a byte of 8 bits before', post(coding(' \xffchunked'), none)),
    refused('NUL behind', post(coding(' chunked\0'), none)),
    refused('a bare CR behind', post(coding(' chunked\r'), none)),
    refused('on the next line', post(coding('\r\n chunked'), none)),
    refused('goes on in the next line', post(coding(' chunked\r\n , identity'), none)),
    refused('a blank before the colon', post(['Transfer-Encoding : chunked'], none)),
    refused('a tab before the colon', post(['Transfer-Encoding\t: chunked'], none)),
    refused('a blank before the name', post(['X: y', ' Transfer-Encoding: chunked'], none)),
    refused('a bare LF before the name', post(['X: y\nTransfer-Encoding: chunked'], none)),
    refused('a bare CR before the name', post(['X: y\rTransfer-Encoding: chunked'], none)),
    refused('in HTTP/1.0', head('POST / HTTP/1.0', 'Host: test', 'Transfer-Encoding: chunked') + none),
    refused(
      'in HTTP/1.0 that is kept alive',
      head('POST / HTTP/1.0', 'Host: test', 'Connection: keep-alive', 'Transfer-Encoding: chunked') + none,
    ),
    passes('in capitals', post(['TRANSFER-ENCODING: CHUNKED'], `2\r\nhi\r\n${none}`), {
      line: 'POST /',
      body: 'hi',
    }),
    passes('a tab before', post(coding('\tchunked'), none), { line: 'POST /', body: '' }),
    passes('blanks around', post(coding('  chunked  '), none), { line: 'POST /', body: '' }),
    passes('Transfer_Encoding beside', post(['Content-Length: 2', 'Transfer_Encoding: chunked'], 'hi'), {
      ...{ line: 'POST /', body: 'hi', lacks: ['transfer_encoding', 'transfer-encoding'] },
    }),
    passes('in a GET', `${get('Transfer-Encoding: chunked')}2\r\nhi\r\n${none}`, {
      line: 'GET /',
      body: 'hi',
    }),
  ],
}

export const smuggling: HostileClass = {
  title: 'A request in another',
  requests: [
    refused(
      'CL.TE',
      post([`Content-Length: ${5 + smuggled.length}`, 'Transfer-Encoding: chunked'], none + smuggled),
    ),
    refused(
      'TE.CL',
      post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `27\r\n${smuggled}\r\n${none}`),
    ),
    refused(
      'TE.TE, hidden by a blank',
      post(['Transfer-Encoding: chunked', 'Transfer-Encoding : x'], none + smuggled),
    ),
    refused(
      'TE.TE, hidden by a tab',
      post(['Transfer-Encoding:\tchunked', 'Transfer-Encoding:\x0bchunked'], none),
    ),
    passes('in the body of a GET (CL.0)', get(`Content-Length: ${smuggled.length}`) + smuggled, {
      ...{ line: 'GET /', body: smuggled },
    }),
    passes('in the body of a POST (CL.0)', post([`Content-Length: ${smuggled.length}`], smuggled), {
      ...{ line: 'POST /', body: smuggled },
    }),
    passes(
      'behind a length of nothing (0.CL)',
      post(['Content-Length: 0'], smuggled),
      'POST /',
      'GET /smuggled',
    ),
    passes('in a chunk', chunked(`${smuggled.length.toString(16)}\r\n${smuggled}\r\n${none}`), {
      line: 'POST /',
      body: smuggled,
    }),
    passes('behind the last chunk', chunked(none + smuggled), 'POST /', 'GET /smuggled'),
    refused('in a header line', get(`X: y\n\n${smuggled}`)),
    refused('in the target', `GET /%0d%0a /smuggled HTTP/1.1\r\nHost: test\r\n\r\n`),
    passes(
      'encoded in the target',
      `GET /%0d%0aGET%20/smuggled HTTP/1.1\r\nHost: test\r\n\r\n`,
      'GET /%0d%0aGET%20/smuggled',
    ),
    closing(
      passes('behind the last request of a connection', get('Connection: close') + smuggled, {
        line: 'GET /',
        lacks: ['connection: close'],
      }),
    ),
    closing(passes('behind HTTP/1.0', head('GET / HTTP/1.0', 'Host: test') + smuggled, 'GET /')),
    answered(
      'in a body that the gateway refuses to take anywhere',
      post([]).replace('test', 'nobody.example'),
      404,
    ),
  ],
}
