// Where a request goes: text put together byte for byte, never decoded nor normalised.
import type { Row } from '../base/json.ts'
import { parseUpstreamUrl, type UpstreamUrl } from '../entities/upstream-url.ts'
import type { Match } from './router.ts'

/** What a request target says. */
export interface Target {
  /** Up to the first `?`; starts with `/`. */
  readonly path: string
  /** After it, without `?`; undefined when there is no `?`. */
  readonly query: string | undefined
  /** Of a target in absolute form: stands in for the `Host` header (RFC 9112, 3.2.2). */
  readonly authority: string | undefined
}

const upstreams = new WeakMap<Row, UpstreamUrl | undefined>()

/**
 * `upstream_url`, taken apart once for each row. Undefined when it can't be used: the Admin API lets none in, but
 * somebody may write the table by hand.
 */
export function upstreamOf(api: Row): UpstreamUrl | undefined {
  if (!upstreams.has(api)) upstreams.set(api, parseUpstreamUrl(String(api.upstream_url)))
  return upstreams.get(api)
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

/** The path sent upstream, the one of `upstream_url` included (§3.1); that of one that can't be used is empty. */
export function upstreamPath(match: Match, path: string): string {
  const base = upstreamOf(match.api)?.path ?? ''
  if (!isStripped(match)) return base + path
  const rest = path.slice(String(match.api.request_path).length)
  if (rest === '') return base === '' ? '/' : base
  return rest.startsWith('/') ? base + rest : `${base}/${rest}`
}

/** Path and query as they stand in the request line; a query of `upstream_url` itself comes first. */
export function upstreamTarget({ query: own }: UpstreamUrl, path: string, query: string | undefined): string {
  const both = own === undefined ? query : query === undefined ? own : `${own}&${query}`
  return both === undefined ? path : `${path}?${both}`
}
