// Where a request goes: text put together byte for byte, never decoded nor normalised.
import type { Row } from '../base/json.ts'
import type { Match } from './router.ts'

/** `upstream_url`, taken apart once for each API row. */
export interface Upstream {
  readonly encrypted: boolean
  /** A name or an address, IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Host and port as written: the `Host` header of §3.3. */
  readonly authority: string
  /** Path without its one trailing `/`; empty when there is none. */
  readonly path: string
  readonly query: string | undefined
}

/** What a request target says. */
export interface Target {
  /** Up to the first `?`; starts with `/`. */
  readonly path: string
  /** After it, without `?`; undefined when there is no `?`. */
  readonly query: string | undefined
  /** Of a target in absolute form: stands in for the `Host` header (RFC 9112, 3.2.2). */
  readonly authority: string | undefined
}

const upstreams = new WeakMap<Row, Upstream>()

export function upstreamOf(api: Row): Upstream {
  let upstream = upstreams.get(api)
  if (!upstream) {
    upstream = parseUpstream(String(api.upstream_url))
    upstreams.set(api, upstream)
  }
  return upstream
}

/** @throws {TypeError} when `url` is not an http or https URL; the Admin API lets none in */
function parseUpstream(url: string): Upstream {
  const parts = /^(https?):\/\/(?:[^/?#@]*@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?/i.exec(url)
  const address = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(parts?.[2] ?? '')
  if (!parts || !address)
    throw new TypeError(`upstream_url: expected http(s)://host[:port][/path], got "${url}"`)
  const encrypted = parts[1]?.toLowerCase() === 'https'
  return {
    encrypted,
    host: (address[1] ?? address[2]) as string,
    port: address[3] === undefined ? (encrypted ? 443 : 80) : Number(address[3]),
    authority: parts[2] as string,
    path: (parts[3] as string).replace(/\/$/, ''),
    query: parts[4],
  }
}

/** Undefined for what a gateway has no use for: `*`, a bare authority, or an empty target. */
export function parseTarget(target: string): Target | undefined {
  const absolute = target.startsWith('/') ? undefined : /^https?:\/\/([^/?#]+)/i.exec(target)
  if (!absolute && !target.startsWith('/')) return undefined
  const rest = absolute ? target.slice(absolute[0].length) : target
  const mark = rest.indexOf('?')
  const path = mark < 0 ? rest : rest.slice(0, mark)
  return {
    path: path === '' ? '/' : path,
    query: mark < 0 ? undefined : rest.slice(mark + 1),
    authority: absolute?.[1],
  }
}

/** Whether `match` takes request_path off the path: only what was reached by path has one to take off. */
export function isStripped({ api, by }: Match): boolean {
  return by === 'path' && api.strip_request_path === true
}

/** The path sent upstream, the one of `upstream_url` included (§3.1). */
export function upstreamPath(match: Match, path: string): string {
  const base = upstreamOf(match.api).path
  if (!isStripped(match)) return base + path
  const rest = path.slice(String(match.api.request_path).length)
  if (rest === '') return base === '' ? '/' : base
  return rest.startsWith('/') ? base + rest : `${base}/${rest}`
}

/** Path and query as they stand in the request line; a query of `upstream_url` itself comes first. */
export function upstreamTarget({ query: own }: Upstream, path: string, query: string | undefined): string {
  const both = own === undefined ? query : query === undefined ? own : `${own}&${query}`
  return both === undefined ? path : `${path}?${both}`
}
