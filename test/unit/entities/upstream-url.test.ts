import http from 'node:http'
import { expect } from 'chai'
import fc from 'fast-check'
import { coerce } from '../../../src/entities/coerce.ts'
import { parseUpstreamUrl } from '../../../src/entities/upstream-url.ts'

describe('upstream url', () => {
  it('is taken apart as written, without credentials and fragment', () => {
    expect(parseUpstreamUrl('HTTP://me:p@w@Example.com:08080/x/?a=1?#f')).deep.equal({
      ...{ isGrpc: false, encrypted: false, host: 'Example.com', port: 8080, authority: 'Example.com:08080' },
      ...{ path: '/x', query: 'a=1?' },
    })
    expect(parseUpstreamUrl('https://[::1]')).deep.equal({
      ...{
        isGrpc: false,
        encrypted: true,
        host: '::1',
        port: 443,
        authority: '[::1]',
        path: '',
        query: undefined,
      },
    })
  })

  it('is that of a gRPC server, plain or by TLS', () => {
    const of = (url: string) => {
      const { isGrpc, encrypted, host, port } = parseUpstreamUrl(url) ?? {}
      return [isGrpc, encrypted, host, port]
    }
    expect(of('grpc://a:50051')).deep.equal([true, false, 'a', 50051])
    expect(of('GRPCS://a')).deep.equal([true, true, 'a', 443])
    expect(of('grpc://a')).deep.equal([true, false, 'a', 80])
  })

  it('what is not ASCII in path and query goes as its bytes in UTF-8', () => {
    const { path, query } = parseUpstreamUrl('http://a.com/ü?€') ?? {}
    expect([path, query]).deep.equal(['/\xc3\xbc', '\xe2\x82\xac'])
  })

  const unusable = [
    ...['http://host:', 'http:///x', 'http://', 'http://:80', 'http:host', 'http:\\\\host', 'http://\\host'],
    ...['http://a:b:c', 'http://a:99999', 'http://a:0', 'http://[::1', 'http://[x]', 'http://[::1%25eth0]'],
    ...[
      'http://ü.com',
      'http://a%41',
      'http://a"b',
      'http://a b',
      'http://a/b c',
      'http://a/\n',
      'http://a/\0',
    ],
    ...['ftp://x', 'x', '', 'null'],
  ]
  for (const url of unusable) {
    it(`${JSON.stringify(url)} is none`, () => {
      expect(parseUpstreamUrl(url)).equal(undefined)
    })
  }

  it('whatever is one can be put into a request', () => {
    const piece = fc.constantFrom(...'ab1.:/?#@[]%\\ _-"\n\0üé€\u{1f600}', 'http', '::1', '80', '0')
    const text = fc.array(piece, { maxLength: 12 }).map((pieces) => `http://${pieces.join('')}`)
    const urls = fc.oneof(text, fc.webUrl({ withQueryParameters: true }))
    const check = fc.property(urls, (text) => {
      const url = parseUpstreamUrl(text)
      if (!url) return
      expect(coerce('url', text), text).equal(text)
      const path = `${url.path}/?${url.query}`
      const request = http.request({
        ...{ host: url.host, port: url.port, path, headers: ['Host', url.authority], setHost: false },
        ...{ agent: silent, method: 'GET' },
      })
      request.on('error', () => {}).destroy()
    })
    fc.assert(check, { numRuns: 2000 })
  })
})

/** Connects to nothing. */
const silent = new (class extends http.Agent {
  override createConnection(): undefined {}
})()
