import { expect } from 'chai'
import type { Row } from '../../../src/base/json.ts'
import {
  openRequest,
  passableTrailers,
  upstreamHeaders,
  upstreamResponseHeaders,
} from '../../../src/proxy/forwarding.ts'
import { Headers } from '../../../src/proxy/headers.ts'
import type { ProxyRequest } from '../../../src/proxy/proxy-request.ts'
import type { Incoming } from '../../../src/proxy/request.ts'
import type { Match } from '../../../src/proxy/router.ts'

function opened(raw: string[], match: Partial<Match> = {}, api: Row = {}): ProxyRequest {
  const headers = Headers.from(raw)
  const incoming: Incoming = {
    ...{ method: 'GET', target: '/a', httpVersion: '1.1', headers, body: null, trailers: () => [] },
    ...{ remoteAddress: '1.2.3.4', localPort: 8000, encrypted: false, upgrade: null, receivedAt: 0 },
  }
  const row: Row = {
    upstream_url: 'http://up.com:81/x',
    request_path: '/a',
    strip_request_path: true,
    ...api,
  }
  const matched: Match = { api: row, by: 'path', host: undefined, ...match }
  return openRequest(incoming, { path: '/a', query: undefined, authority: undefined }, matched, '1.2.3.4')
}

function sent(...args: Parameters<typeof opened>): Headers {
  return upstreamHeaders(opened(...args))
}

describe('forwarding', () => {
  it('hop-by-hop fields end here, with those that Connection names', () => {
    const headers = sent([
      ...['Connection', 'close, X-Mine', 'Connection', 'x-other', 'Keep-Alive', '5', 'TE', 'trailers'],
      ...[
        'Upgrade',
        'h2c',
        'Proxy-Connection',
        'x',
        'Transfer-Encoding',
        'chunked',
        'Expect',
        '100-continue',
      ],
      ...['X-Mine', '1', 'X-Other', '2', 'X-Kept', '3', 'under_score', '4'],
    ])
    expect(Object.keys(headers.toObject())).deep.equal([
      ...[
        'host',
        'x-kept',
        'under_score',
        'x-forwarded-prefix',
        'x-real-ip',
        'x-forwarded-for',
        'x-forwarded-proto',
      ],
    ])
  })

  it('naming a header of the gateway in Connection does not take it away', () => {
    const headers = sent(['Connection', 'X-Real-IP, X-Forwarded-For, Host, X-Forwarded-Prefix', 'Host', 'h'])
    expect(headers.toObject()).include({
      ...{
        host: 'up.com:81',
        'x-real-ip': '1.2.3.4',
        'x-forwarded-for': '1.2.3.4',
        'x-forwarded-prefix': '/a',
      },
    })
  })

  it('what is said to the gateway itself never passes, as a trailer neither', () => {
    expect(sent(['x-troop-MIN-position', '7', 'X-Kept', '1']).raw())
      .include('X-Kept')
      .not.include('7')
    expect(passableTrailers(['X-Troop-Min-Position', '7', 'X-Kept', '1'])).deep.equal(['X-Kept', '1'])
  })

  it('identity headers of the client never pass, with underscores neither', () => {
    const spoofed = [
      ...[
        'X-Consumer-ID',
        'x-consumer-username',
        'X-Consumer-Custom-ID',
        'X-Consumer-Groups',
        'X_Consumer_Id',
      ],
      ...[
        'X-Credential-Username',
        'X-Authenticated-Scope',
        'X-Authenticated-Userid',
        'x-authenticated_userid',
      ],
    ]
    const headers = sent(spoofed.flatMap((name) => [name, 'spoofed']))
    expect(headers.raw()).not.include('spoofed')
  })

  it('repeated fields stay apart and in order', () => {
    const headers = sent(['A', '1', 'B', '2', 'a', '3'])
    expect(headers.raw().slice(2, 8)).deep.equal(['A', '1', 'B', '2', 'a', '3'])
  })

  it('the client is told by address and scheme, whatever it says itself', () => {
    const headers = sent([
      ...['X-Forwarded-For', '9.9.9.9', 'x-forwarded-for', '8.8.8.8', 'X-Real-IP', '7.7.7.7'],
      ...['X-Forwarded-Proto', 'https', 'X-Forwarded-Prefix', '/spoofed'],
    ])
    expect(headers.all('x-forwarded-for')).deep.equal(['9.9.9.9, 8.8.8.8, 1.2.3.4'])
    expect(headers.all('x-real-ip')).deep.equal(['1.2.3.4'])
    expect(headers.all('x-forwarded-proto')).deep.equal(['http'])
    expect(headers.all('x-forwarded-prefix')).deep.equal(['/a'])
  })

  it('X-Forwarded-Host is the host that matched, and the client’s own only for a path match [contract 94, 97, 99]', () => {
    const raw = ['Host', 'a.com:8000', 'X-Forwarded-Host', 'client.com']
    expect(sent(raw, { by: 'host', host: 'a.com' }).all('x-forwarded-host')).deep.equal(['a.com'])
    expect(sent(raw, { by: 'wildcard', host: 'a.com' }).all('x-forwarded-host')).deep.equal(['a.com'])
    expect(sent(raw).all('x-forwarded-host')).deep.equal(['client.com'])
  })

  it('X-Forwarded-Prefix is there only when the path was stripped [contract 94, 99, 100]', () => {
    expect(sent([], { by: 'host', host: 'a.com' }).has('x-forwarded-prefix')).equal(false)
    expect(
      sent(['X-Forwarded-Prefix', '/x'], {}, { strip_request_path: false }).has('x-forwarded-prefix'),
    ).equal(false)
  })

  it('preserve_host sends the matched exact host, else the Host that came in [contract 109]', () => {
    const raw = ['Host', 'A.com:8000']
    const kept = { preserve_host: true }
    expect(opened(raw, { by: 'host', host: 'A.com' }, kept).host).equal('A.com')
    expect(opened(raw, { by: 'wildcard', host: 'A.com' }, kept).host).equal('A.com:8000')
    expect(opened(raw, {}, kept).host).equal('A.com:8000')
    expect(opened([], {}, kept).host).equal('up.com:81')
    expect(opened(raw).host).equal('up.com:81')
    expect(opened(raw, {}, { upstream_url: 'https://up.com' }).host).equal('up.com')
  })

  it('the client’s Host and X-Host-Override stay readable for plugins', () => {
    const { headers } = opened(['Host', 'a.com', 'X-Host-Override', 'b.com'])
    expect([headers.get('host'), headers.get('x-host-override')]).deep.equal(['a.com', 'b.com'])
  })

  it('a response loses its hop-by-hop fields, and a 204 its length', () => {
    const raw = Headers.from([
      ...['Connection', 'X-A', 'X-A', '1', 'Set-Cookie', 'a', 'Set-Cookie', 'b', 'Content-Length', '3'],
    ])
    expect(upstreamResponseHeaders(200, raw).raw()).deep.equal([
      ...['Set-Cookie', 'a', 'Set-Cookie', 'b', 'Content-Length', '3'],
    ])
    expect(upstreamResponseHeaders(204, raw).has('content-length')).equal(false)
  })

  it('trailers neither frame nor identify', () => {
    const raw = [
      'X-Sum',
      '1',
      'Content-Length',
      '5',
      'X-Consumer-ID',
      'x',
      'Transfer-Encoding',
      'chunked',
      'Host',
      'h',
    ]
    expect(passableTrailers(raw)).deep.equal(['X-Sum', '1'])
  })
})
