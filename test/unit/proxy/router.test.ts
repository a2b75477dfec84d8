import { expect } from 'chai'
import fc from 'fast-check'
import type { Row } from '../../../src/base/json.ts'
import { Headers } from '../../../src/proxy/headers.ts'
import { hostsOf, Router } from '../../../src/proxy/router.ts'
import { fill } from '../../support/projection.ts'

let ids = 0
function api(request_host: string | null, request_path: string | null = null, created_at = 1000): Row {
  ids++
  return {
    id: `id-${String(ids).padStart(4, '0')}`,
    created_at,
    request_host,
    request_path,
    upstream_url: 'http://u',
  }
}

function routerOf(...rows: Row[]): Router {
  const router = new Router()
  fill(router, rows)
  return router
}

describe('router', () => {
  it('the first host value that any API knows decides, whatever comes after it [contract 485]', () => {
    const [a, b] = [api('a.test.com'), api('b.test.com')]
    const router = routerOf(a, b)
    expect(router.match(['nobody.com', 'b.test.com', 'a.test.com'], '/')?.api).equal(b)
  })

  it('hosts match without regard to case', () => {
    const row = api('MixedCase.Com')
    const match = routerOf(row).match(['mIXEDcASE.com'], '/')
    expect(match).deep.equal({ api: row, by: 'host', host: 'mIXEDcASE.com' })
  })

  it('an exact host wins over a wildcard that fits, a host over a path', () => {
    const [exact, wild, path] = [api('a.test.com'), api('*.test.com'), api(null, '/a')]
    const router = routerOf(wild, exact, path)
    expect(router.match(['a.test.com'], '/a')?.api).equal(exact)
    expect(router.match(['b.test.com'], '/a')?.api).equal(wild)
    expect(router.match(['nobody.com'], '/a')?.api).equal(path)
  })

  it('an earlier host value that fits a wildcard wins over a later one that is exact', () => {
    const [exact, wild] = [api('a.other.com'), api('*.test.com')]
    expect(routerOf(exact, wild).match(['x.test.com', 'a.other.com'], '/')?.api).equal(wild)
  })

  it('a star stands for one or more characters, dots included', () => {
    const [left, right] = [api('*.example.org'), api('example.*')]
    const router = routerOf(left, right)
    const by = (host: string) => router.match([host], '/')?.api
    expect(by('a.example.org')).equal(left)
    expect(by('x.y.example.org')).equal(left)
    expect(by('..example.org')).equal(left)
    expect(by('.example.org')).equal(undefined)
    expect(by('notexample.org')).equal(undefined)
    expect(by('example.com')).equal(right)
    expect(by('example.co.uk')).equal(right)
    expect(by('example.')).equal(undefined)
    expect(by('example')).equal(undefined)
    // Only the right wildcard leaves something for its star here.
    expect(by('example.org')).equal(right)
  })

  it('of several wildcards the longest literal wins, then the older, then the smaller id', () => {
    const [short, long, right] = [api('*.org'), api('*.example.org'), api('www.example.*')]
    const router = routerOf(short, right, long)
    expect(router.match(['www.example.org'], '/')?.api).equal(long)
    const [young, old] = [api('ab.*', null, 2000), api('*.cd', null, 1000)]
    expect(routerOf(young, old).match(['ab.cd'], '/')?.api).equal(old)
    const [first, second] = [api('ab.*'), api('*.cd')]
    expect(routerOf(second, first).match(['ab.cd'], '/')?.api).equal(first)
  })

  it('the longest path wins, in whole segments, and / catches the rest [contract 101, 102, 105, 114]', () => {
    const paths = ['/', '/hello', '/hello/world', '/mockbin']
    const rows = new Map(paths.map((path) => [path, api(null, path)]))
    const router = routerOf(...rows.values())
    const by = (path: string) => router.match([], path)?.api.request_path
    expect(by('/hello/world/wot')).equal('/hello/world')
    expect(by('/hello/world')).equal('/hello/world')
    expect(by('/hello/worlds')).equal('/hello')
    expect(by('/hello/')).equal('/hello')
    expect(by('/mockbin-x')).equal('/')
    expect(by('/x/mockbin')).equal('/')
    expect(by('/mockbin//x')).equal('/mockbin')
    expect(by('/')).equal('/')
    expect(routerOf(rows.get('/mockbin') as Row).match([], '/x/mockbin')).equal(null)
  })

  it('a path is literal: neither a dot nor an encoded slash stands for anything else [contract 112, 485]', () => {
    const router = routerOf(api(null, '/v1.0'), api(null, '/some/deep'), api(null, '/some/deep/url'))
    expect(router.match([], '/v1x0')).equal(null)
    expect(router.match([], '/v1.0/a')?.api.request_path).equal('/v1.0')
    expect(router.match([], '/some/deep%2Furl')).equal(null)
  })

  it('an API with host and path is reached by either', () => {
    const row = api('a.test.com', '/a')
    const router = routerOf(row)
    expect(router.match(['a.test.com'], '/x')?.by).equal('host')
    expect(router.match(['x.com'], '/a')?.by).equal('path')
  })

  it('a host that moves from one API to another in one transaction is never lost, in either order', () => {
    const [a, b] = [api('host.com'), api('other.com')]
    const [movedA, movedB] = [
      { ...a, request_host: 'new.com' },
      { ...b, request_host: 'host.com' },
    ]
    for (const patches of [
      [
        [a, movedA],
        [b, movedB],
      ],
      [
        [b, movedB],
        [a, movedA],
      ],
    ] as [Row, Row][][]) {
      const router = routerOf(a, b)
      for (const [old, next] of patches) router.patch(old, next)
      expect(router.match(['host.com'], '/')?.api).equal(movedB)
      expect(router.match(['new.com'], '/')?.api).equal(movedA)
      expect(router.match(['other.com'], '/')).equal(null)
    }
  })

  it('patching one API leaves the others as the very objects they were', () => {
    const [a, b] = [api('a.com', '/a'), api('b.com', '/b')]
    const router = routerOf(a, b)
    router.patch(b, { ...b, upstream_url: 'http://new' })
    expect(router.match(['a.com'], '/')?.api).equal(a)
    expect(router.match([], '/b')?.api.upstream_url).equal('http://new')
  })

  it('a reload keeps rows that are equal, drops those that are gone, and moves the revision only if one changed', () => {
    const [a, b] = [api('a.com'), api('b.com')]
    const router = routerOf(a, b)
    const { revision } = router
    fill(router, [{ ...a }, { ...b }])
    expect(router.revision).equal(revision)
    expect(router.match(['a.com'], '/')?.api).equal(a)
    fill(router, [{ ...a }])
    expect(router.revision).not.equal(revision)
    expect(router.match(['b.com'], '/')).equal(null)
  })

  it('what is made to replace all shows only when it is finished, and patches before that leave it alone', () => {
    const [a, b] = [api('a.com'), api('b.com')]
    const router = routerOf(a)
    const replacement = router.begin()
    replacement.add(b)
    router.patch(null, api('c.com'))
    expect(router.match(['b.com'], '/')).equal(null)
    expect(router.match(['a.com'], '/')?.api).equal(a)
    replacement.finish()
    expect(router.match(['b.com'], '/')?.api).equal(b)
    expect(router.match(['a.com'], '/')).equal(null)
    expect(router.match(['c.com'], '/')).equal(null)
  })

  it('any sequence of patches ends in what a load of the same rows gives', () => {
    const hosts = ['a.com', 'b.com', '*.com', 'a.*', '*.b.com', null]
    const paths = ['/', '/a', '/a/b', '/b', null]
    const step = fc.record({
      id: fc.integer({ min: 0, max: 4 }).map((n) => `id-${n}`),
      request_host: fc.constantFrom(...hosts),
      request_path: fc.constantFrom(...paths),
      gone: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const patched = new Router()
        const rows = new Map<string, Row>()
        for (const { gone, ...row } of steps) {
          const old = rows.get(row.id) ?? null
          if (gone && !old) continue
          patched.patch(old, gone ? null : row)
          if (gone) rows.delete(row.id)
          else rows.set(row.id, row)
        }
        const loaded = routerOf(...rows.values())
        for (const host of ['a.com', 'b.com', 'x.b.com', 'a.b', 'none']) {
          for (const path of ['/', '/a/b/c', '/b', '/c']) {
            expect(patched.match([host], path)).deep.equal(loaded.match([host], path))
          }
        }
      }),
    )
  })

  it('hosts are those of Host, then of X-Host-Override, without port and blanks [contract 95, 97, 485]', () => {
    const headers = Headers.from([
      ...['X-Host-Override', 'over.com:1', 'host', '  a.com:8000 ', 'Host', 'b.com', 'HOST', '[::1]:80'],
    ])
    expect(hostsOf(headers)).deep.equal(['a.com', 'b.com', '[::1]', 'over.com'])
  })
})
