import { expect } from 'chai'
import type { Row } from '../../../src/base/json.ts'
import type { UpstreamUrl } from '../../../src/entities/upstream-url.ts'
import { parseTarget, type Target, upstreamOf, upstreamPath, upstreamTarget } from '../../../src/proxy/url.ts'

function sent(upstream_url: string, request_path: string, strip: boolean, request: string): string {
  const api: Row = { upstream_url, request_path, strip_request_path: strip }
  const { path, query } = parseTarget(request) as Target
  const upstream = upstreamOf(api) as UpstreamUrl
  const target = upstreamTarget(upstream, upstreamPath({ api, by: 'path', host: undefined }, path), query)
  return `${upstream.encrypted ? 'https' : 'http'}://${upstream.authority}${target}`
}

describe('url', () => {
  const table: [upstream: string, path: string, strip: boolean, request: string, expected: string][] = [
    ['http://mockbin.com', '/mockbin', false, '/mockbin/a', 'http://mockbin.com/mockbin/a'],
    ['http://mockbin.com', '/mockbin', true, '/mockbin', 'http://mockbin.com/'],
    ['http://mockbin.com/', '/mockbin', true, '/mockbin', 'http://mockbin.com/'],
    ['http://mockbin.com', '/mockbin', true, '/mockbin/request', 'http://mockbin.com/request'],
    ['http://mockbin.com', '/har', true, '/har/har/of/request', 'http://mockbin.com/har/of/request'],
    [
      'http://www.mockbin.org/request',
      '/t',
      true,
      '/t?hello=world',
      'http://www.mockbin.org/request?hello=world',
    ],
    ['http://www.mockbin.org/request', '/t', true, '/t/', 'http://www.mockbin.org/request/'],
    ['http://www.mockbin.org/request', '/t', false, '/t', 'http://www.mockbin.org/request/t'],
    ['http://www.mockbin.org/request', '/t', false, '/t?a=b', 'http://www.mockbin.org/request/t?a=b'],
    ['http://www.mockbin.org/', '/t', true, '/t/request', 'http://www.mockbin.org/request'],
    ['http://mockbin.com/some/path/', '/strip', true, '/strip', 'http://mockbin.com/some/path'],
    ['http://mockbin.com/p', '/', true, '/foo', 'http://mockbin.com/p/foo'],
    ['http://mockbin.com', '/', true, '/', 'http://mockbin.com/'],
    ['http://mockbin.com', '/a-(x)+', true, '/a-(x)+/b', 'http://mockbin.com/b'],
  ]
  for (const [upstream, path, strip, request, expected] of table) {
    const how = strip ? 'without' : 'with'
    it(`${request} to ${upstream} ${how} ${path} is ${expected} [contract 104, 110, 111]`, () => {
      expect(sent(upstream, path, strip, request)).equal(expected)
    })
  }

  it('path and query stay byte for byte, doubled slashes and bad escapes included [contract 103, 112, 113]', () => {
    const odd = '/t/%2Fa%2f//../%zz?a|b=%2520&&=&c=\xe4+%20?'
    expect(sent('http://u', '/t', false, odd)).equal(`http://u${odd}`)
  })

  it('an empty query keeps its mark, and a query of upstream_url comes first', () => {
    expect(sent('http://u', '/t', false, '/t?')).equal('http://u/t?')
    expect(sent('http://u/p?key=1', '/t', false, '/t?a=b')).equal('http://u/p/t?key=1&a=b')
    expect(sent('http://u/p?key=1', '/t', false, '/t')).equal('http://u/p/t?key=1')
  })

  it('a host or wildcard match never strips', () => {
    const api: Row = { upstream_url: 'http://u', request_path: '/a', strip_request_path: true }
    expect(upstreamPath({ api, by: 'host', host: 'h' }, '/a/b')).equal('/a/b')
  })

  it('upstream_url gives host, port and Host header, without credentials and without :443', () => {
    const parsed = (upstream_url: string) => upstreamOf({ upstream_url })
    expect(parsed('https://example.com')).include({
      host: 'example.com',
      port: 443,
      authority: 'example.com',
    })
    expect(parsed('HTTP://me:pw@example.com:8080/x')).include({
      port: 8080,
      authority: 'example.com:8080',
      path: '/x',
    })
    expect(parsed('http://[::1]:81')).include({ host: '::1', port: 81, authority: '[::1]:81' })
  })

  it('an upstream_url that is none, written by hand, is taken for one without host and path, and throws nothing', () => {
    for (const upstream_url of ['ftp://x', 'http://a:b:c', '', null, 5]) {
      const api: Row = { upstream_url }
      expect(upstreamOf(api)).equal(undefined)
      expect(upstreamPath({ api, by: 'host', host: 'h' }, '/a')).equal('/a')
    }
  })

  it('a target in absolute form gives its path and its host; others than paths are refused', () => {
    expect(parseTarget('http://a.com:80/x?y')).deep.equal({ path: '/x', query: 'y', authority: 'a.com:80' })
    expect(parseTarget('HTTPS://a.com')).deep.equal({ path: '/', query: undefined, authority: 'a.com' })
    for (const target of ['*', '', 'a.com:443', 'ftp://a/b'])
      expect(parseTarget(target), target).equal(undefined)
  })
})
