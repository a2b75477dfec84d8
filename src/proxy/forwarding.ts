// What the headers of a message become on its way through the gateway (docs/architecture.md "Headers").
import { Headers, minPositionHeader } from './headers.ts'
import { heldBytesMaxDefault } from './held-body.ts'
import { hopByHop, without } from './hop-by-hop.ts'
import { ProxyRequest } from './proxy-request.ts'
import type { Incoming } from './request.ts'
import type { Match } from './router.ts'
import { isStripped, type Target, upstreamOf, upstreamPath } from './url.ts'

/** A fresh request for one attempt, as the first plugin finds it. */
export function openRequest(
  incoming: Incoming,
  target: Target,
  match: Match,
  clientAddress: string,
  heldBytesMax = heldBytesMaxDefault,
): ProxyRequest {
  const { api } = match
  const headers = clientHeaders(incoming.rawHeaders)
  if (match.host !== undefined) headers.set('X-Forwarded-Host', match.host)
  headers.remove('x-forwarded-prefix')
  if (isStripped(match)) headers.set('X-Forwarded-Prefix', String(api.request_path))
  return new ProxyRequest({
    incoming,
    clientAddress,
    api,
    headers,
    host: hostFor(match, target, headers),
    path: upstreamPath(match, target.path),
    query: target.query,
    heldBytesMax,
  })
}

/** §3.3: the upstream's own, or with `preserve_host` the host that matched, else the one that came in. */
function hostFor({ api, by, host }: Match, { authority }: Target, headers: Headers): string {
  const own = upstreamOf(api)?.authority ?? ''
  if (api.preserve_host !== true) return own
  return (by === 'host' ? host : (authority ?? headers.get('host'))) ?? own
}

/**
 * Names under which the gateway tells the upstream who calls; nobody else may use them. With `_` for `-` too:
 * many servers can't tell the two apart (RFC 3875, 4.1.18).
 */
const identity = /^x[-_](?:consumer[-_].*|credential[-_]username|authenticated[-_](?:scope|userid|groups))$/

/**
 * The client's headers without those that end here, and without what only the gateway may say. What is said to the
 * gateway itself ends here too; so does `Expect`: it asks for the body, once it knows that it wants it.
 */
function clientHeaders(raw: readonly string[]): Headers {
  const ends = hopByHop(raw)
  const drop = (name: string) => ends(name) || endsHere.has(name) || identity.test(name) || isLookalike(name)
  return new Headers(without(raw, drop))
}

/** A name that an upstream which can't tell `_` from `-` takes for one of those that the gateway sets. */
function isLookalike(name: string): boolean {
  return name.includes('_') && lookedLike.has(name.replaceAll('_', '-'))
}

const endsHere = new Set(['expect', minPositionHeader])

/**
 * The head that goes upstream, in turn names and values: `Host` first, the client's headers, then what is said
 * about the client last, so that no plugin and no client can say it differently.
 */
export function upstreamHeaders({ incoming, clientAddress, headers, host }: ProxyRequest): string[] {
  const before = headers.all('x-forwarded-for')
  const raw = without(headers.raw(), (name) => told.has(name))
  raw.unshift('Host', host)
  raw.push('X-Real-IP', clientAddress)
  raw.push('X-Forwarded-For', [...before, clientAddress].join(', '))
  raw.push('X-Forwarded-Proto', incoming.encrypted ? 'https' : 'http')
  return raw
}

const told = new Set(['host', 'x-real-ip', 'x-forwarded-for', 'x-forwarded-proto'])

/** The upstream's headers as the client may see them. */
export function upstreamResponseHeaders(status: number, raw: readonly string[]): Headers {
  const ends = hopByHop(raw)
  // A 204 has no length; some upstreams send one all the same (RFC 9110, 8.6).
  return new Headers(without(raw, (name) => ends(name) || (status === 204 && name === 'content-length')))
}

/** Trailer fields that may pass: nothing that frames, routes or identifies, since some servers merge them. */
export function passableTrailers(raw: readonly string[]): string[] {
  const ends = hopByHop(raw)
  const drop = (name: string) =>
    ends(name) || notInTrailers.has(name) || identity.test(name) || isLookalike(name)
  return without(raw, drop)
}

const lookedLike = new Set([
  ...['content-length', 'transfer-encoding', ...told],
  ...['x-forwarded-host', 'x-forwarded-prefix', minPositionHeader],
])

const notInTrailers = new Set([
  ...['content-length', 'content-encoding', 'content-type', 'content-range', 'host', 'trailer', 'expect'],
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'cache-control', 'range'],
  ...['x-real-ip', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-prefix'],
  minPositionHeader,
])
