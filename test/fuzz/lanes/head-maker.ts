// Heads of requests, from such that any client would send to such that none should, as bytes; and what becomes of them
// when some of these are changed.
import type { Random } from '../../../src/base/random.ts'
import { pick, whole } from '../../simulation/chance.ts'

/** Makes heads out of a grammar that knows where parsers disagree, and out of heads that were worth keeping. */
export class HeadMaker {
  readonly #random: Random
  readonly #kept: readonly Buffer[]

  /** @param kept  may grow meanwhile */
  constructor(random: Random, kept: readonly Buffer[]) {
    this.#random = random
    this.#kept = kept
  }

  make(): Buffer {
    const head =
      this.#chance(0.4) && this.#kept.length > 0 ? pick(this.#random, this.#kept) : this.#fromGrammar()
    return this.#chance(0.6) ? this.#mutated(head) : head
  }

  #fromGrammar(): Buffer {
    const method = this.#chance(0.9) ? pick(this.#random, plainMethods) : pick(this.#random, oddMethods)
    const version = this.#chance(0.95) ? 'HTTP/1.1' : pick(this.#random, oddVersions)
    const line = `${method}${this.#blank()}${this.#target()}${this.#blank()}${version}`
    const count = this.#chance(0.002)
      ? 250 + whole(this.#random, 10)
      : this.#chance(0.9)
        ? whole(this.#random, 8)
        : whole(this.#random, 20)
    const fields = Array.from({ length: count }, () => this.#field())
    if (this.#chance(0.95)) fields.splice(whole(this.#random, fields.length + 1), 0, 'Host: test')
    const text = [line, ...fields].map((text) => text + this.#lineEnd()).join('')
    return Buffer.from(text + this.#lineEnd(), 'latin1')
  }

  #target(): string {
    if (this.#chance(0.002)) return `/${'a'.repeat(8000 + whole(this.#random, 300))}`
    if (this.#chance(0.5)) return pick(this.#random, targets)
    return `/${Array.from({ length: whole(this.#random, 12) }, () => this.#char(0.9)).join('')}`
  }

  #field(): string {
    if (this.#chance(0.1)) return pick(this.#random, oddLines)
    const name = this.#chance(0.8) ? pick(this.#random, names) : this.#word()
    const value = this.#chance(0.8) ? pick(this.#random, values) : this.#word()
    const before = this.#chance(0.9) ? ' ' : pick(this.#random, blanks)
    const after = this.#chance(0.9) ? '' : pick(this.#random, blanks)
    return `${this.#cased(name)}:${before}${value}${after}`
  }

  #word(): string {
    return Array.from({ length: whole(this.#random, 20) }, () => this.#char(0.97)).join('')
  }

  /** @param visible  how likely it is to be a visible one of ASCII */
  #char(visible: number): string {
    const code = this.#chance(visible) ? 0x21 + whole(this.#random, 94) : whole(this.#random, 256)
    return String.fromCharCode(code)
  }

  #cased(name: string): string {
    if (this.#chance(0.8)) return name
    return this.#chance(0.5) ? name.toLowerCase() : name.toUpperCase()
  }

  #blank(): string {
    return this.#chance(0.98) ? ' ' : pick(this.#random, blanks)
  }

  #lineEnd(): string {
    return this.#chance(0.99) ? '\r\n' : pick(this.#random, oddLineEnds)
  }

  #mutated(head: Buffer): Buffer {
    let bytes = head
    for (let left = 1 + whole(this.#random, 3); left > 0; left--) bytes = Buffer.concat(this.#changed(bytes))
    return bytes
  }

  #changed(bytes: Buffer): Buffer[] {
    const at = whole(this.#random, bytes.length + 1)
    const length = whole(this.#random, this.#chance(0.5) ? 3 : 40)
    const before = bytes.subarray(0, at)
    const some = bytes.subarray(at, at + length)
    const after = bytes.subarray(at + length)
    switch (whole(this.#random, 6)) {
      case 0:
        return [before, this.#byte(), bytes.subarray(at + 1)]
      case 1:
        return [before, this.#byte(), bytes.subarray(at)]
      case 2:
        return [before, after]
      case 3:
        return [before, some, some, after]
      case 4:
        return [some, before, after]
      default:
        return [before, pick(this.#random, tokens), after]
    }
  }

  #byte(): Buffer {
    return Buffer.of(this.#chance(0.7) ? pick(this.#random, telling) : whole(this.#random, 256))
  }

  #chance(of: number): boolean {
    return this.#random.fraction() < of
  }
}

const plainMethods = ['GET', 'GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS']
const oddMethods = [
  ...[
    'get',
    'GETT',
    'GE',
    'PRI',
    'TRACE',
    'CONNECT',
    'PROPFIND',
    'SOURCE',
    'M-SEARCH',
    'QUERY',
    'ANNOUNCE',
    '',
  ],
  ...['\r\nGET', '\nGET', '\0GET'],
]
const oddVersions = [
  'HTTP/1.0',
  'HTTP/0.9',
  'HTTP/2.0',
  'HTTP/1.2',
  'HTTP/11',
  'http/1.1',
  'ICE/1.1',
  'HTTP/1.1 ',
  '',
]
const targets = [
  ...[
    '/',
    '/a/b?c=d',
    '/%00',
    '/a#b',
    '/?#',
    '/a\\b',
    '//a',
    '/a b',
    '*',
    'http://test/',
    'test:80',
    '',
    '?a',
  ],
  ...['/\x7f', '/\xe9', '/"<>^`{|}', `/${'a'.repeat(300)}`],
]
const names = [
  ...['Host', 'Content-Length', 'Transfer-Encoding', 'Connection', 'Proxy-Connection', 'Upgrade', 'Expect'],
  ...[
    'X-Host-Override',
    'Trailer',
    'TE',
    'Keep-Alive',
    'HTTP2-Settings',
    'Cookie',
    'Accept',
    'X',
    'Content_Length',
  ],
  ...['Content-Length ', ' Content-Length', 'Content-Lengt', 'Content-Lengths', 'Hos', 'Connectio', 'Upgrad'],
  ...['Set-Cookie', "!#$%&'*+-.^_`|~0", 'Content-Lengthª', 'Transfer-Encodin', ''],
]
const values = [
  ...[
    'test',
    '0',
    '5',
    '05',
    '12',
    '+5',
    '-5',
    '5,5',
    '5 5',
    '0x5',
    '5.0',
    '999999999999999',
    '1'.repeat(20),
    '',
  ],
  ...[
    'chunked',
    'gzip',
    'gzip, chunked',
    'identity',
    'chunked, chunked',
    'Chunked',
    'xchunked',
    'close',
    'Close',
  ],
  ...[
    'keep-alive',
    'Keep-Alive',
    'close, keep-alive',
    'upgrade',
    'Upgrade, close',
    'close,',
    ',close',
    'closed',
  ],
  ...[
    'websocket',
    'h2c',
    '100-continue',
    '100-Continue',
    '200-ok',
    'a:80',
    'a:b',
    '[::1]:80',
    'a@b',
    'a/b',
    'a, b',
  ],
  ...['a=1; b=2', 'a\tb', 'a\xe9', 'a\x7f', 'a\0', 'a\x01', 'x'.repeat(300)],
]
const oddLines = [
  ' folded',
  '\tfolded',
  ':',
  ': a',
  'no colon',
  'A : b',
  'A\t: b',
  'A:\0',
  'A: b\rB: c',
  'A: b\nB: c',
  '',
]
const blanks = ['', '  ', '\t', ' \t ', '\x0b', '\x0c', '\xa0', '\r', '\n']
const oddLineEnds = ['\n', '\r', '\r\r\n', '\n\r', '\r\n\r\n', '', ' \r\n']
const tokens = [
  ...[
    '\r\n',
    '\r\n\r\n',
    'Content-Length: 3\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Host: b\r\n',
    ': ',
    'HTTP/1.1',
  ],
  ...[
    'Connection: close\r\n',
    'Upgrade: h2c\r\n',
    'Expect: 100-continue\r\n',
    '\r\n ',
    '0',
    'close',
    'chunked',
    '#',
  ],
].map((text) => Buffer.from(text))
const telling = [...Buffer.from('\0\t\n\v\f\r "#(),/:;?@[\\]{}0159AZaz_-.~\x7f\x80\xa0\xff', 'latin1')]
