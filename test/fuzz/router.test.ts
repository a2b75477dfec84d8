// Routing and request targets, held against what docs/architecture.md says in its own words and in no hurry.
import { expect } from 'chai'
import fc from 'fast-check'
import type { Row } from '../../src/base/json.ts'
import { Router } from '../../src/proxy/router.ts'
import { parseTarget } from '../../src/proxy/url.ts'
import { fill } from '../support/projection.ts'
import { runs } from './runs.ts'

const label = fc.constantFrom('a', 'b', 'com', 'x-1')
const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'))
const requestHost = fc.oneof(
  name,
  name.map((some) => `*.${some}`),
  name.map((some) => `${some}.*`),
  fc.constant(null),
)
const segments = fc.array(fc.constantFrom('a', 'b', '%2F', '..', ''), { maxLength: 3 })
const requestPath = fc.oneof(
  segments.map((some) => `/${some.filter((one) => one !== '').join('/')}`),
  fc.constant(null),
)
const apis = fc.array(fc.tuple(requestHost, requestPath), { maxLength: 8 }).map((rows) =>
  rows.map(
    ([request_host, request_path], n): Row => ({
      id: `api-${n}`,
      created_at: n,
      request_host,
      request_path,
    }),
  ),
)

describe('the router', () => {
  it('finds what a reading of all rows, one by one, finds', () => {
    const host = fc.oneof(name, fc.string({ maxLength: 5 }))
    const path = fc.oneof(
      segments.map((some) => `/${some.join('/')}`),
      fc.string({ maxLength: 6 }),
    )
    fc.assert(
      fc.property(apis, fc.array(host, { maxLength: 3 }), path, (rows, hosts, target) => {
        const router = new Router()
        fill(router, rows)
        const found = router.match(hosts, target)
        expect(found && { id: found.api.id, by: found.by }).to.deep.equal(slowly(rows, hosts, target))
      }),
      runs(1000),
    )
  })
})

describe('a request target', () => {
  it('is taken apart so that its parts make it up again, byte for byte, or is refused', () => {
    const target = fc.oneof(
      fc.string(),
      fc.string().map((text) => `/${text}`),
      fc.webUrl({ withQueryParameters: true }),
    )
    fc.assert(
      fc.property(target, (text) => {
        const parsed = parseTarget(text)
        if (!parsed) {
          expect(text).not.to.match(/^\//)
          return
        }
        const { path, query, authority } = parsed
        const whole = path + (query === undefined ? '' : `?${query}`)
        const before = text.slice(0, authority === undefined ? 0 : text.indexOf(authority) + authority.length)
        // An absolute target may have no path, which then is `/`.
        expect([before + whole, before + whole.slice(1)]).to.include(text)
      }),
      runs(1000),
    )
  })
})

type Found = { readonly id: unknown; readonly by: string } | null

/** Hosts in their order, each exact before wildcard (the longest literal first); then the longest path of whole segments. */
function slowly(rows: readonly Row[], hosts: readonly string[], path: string): Found {
  const first = (fits: readonly Row[], by: string): Found => (fits[0] ? { id: fits[0].id, by } : null)
  const longest = (column: string) => (a: Row, b: Row) => String(b[column]).length - String(a[column]).length
  for (const host of hosts.map((one) => one.toLowerCase())) {
    const exact = rows.filter(({ request_host }) => request_host === host)
    const wild = rows
      .filter(({ request_host }) => isCovered(host, request_host))
      .sort(longest('request_host'))
    const found = first(exact, 'host') ?? first(wild, 'wildcard')
    if (found) return found
  }
  if (!path.startsWith('/')) return null
  const under = ({ request_path }: Row) =>
    request_path !== null &&
    (request_path === '/' || path === request_path || path.startsWith(`${request_path}/`))
  return first(rows.filter(under).sort(longest('request_path')), 'path')
}

function isCovered(host: string, requestHost: unknown): boolean {
  const text = String(requestHost)
  if (text.startsWith('*.')) return host.endsWith(text.slice(1)) && host.length > text.length - 1
  if (text.endsWith('.*')) return host.startsWith(text.slice(0, -1)) && host.length > text.length - 1
  return false
}
