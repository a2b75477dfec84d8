// What the headers of a message become on its way through the gateway (docs/architecture.md "Headers").
import { kinds, kindsOf } from './field-names.ts'
import { Headers } from './headers.ts'
import { heldBytesMaxDefault } from './held-body.ts'
import { namedByConnection } from './hop-by-hop.ts'
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

/** The client's headers without those that end here, and without what only the gateway may say. */
function clientHeaders(raw: readonly string[]): Headers {
  return Headers.of(without(raw, endsHere))
}

const endsHere = kinds.hop | kinds.identity | kinds.lookalike | kinds.toGateway | kinds.forwardedPrefix

/**
 * The head that goes upstream, in turn names and values: `Host` first, the client's headers, then what is said
 * about the client last, so that no plugin and no client can say it differently.
 */
export function upstreamHeaders({ incoming, clientAddress, headers, host }: ProxyRequest): string[] {
  const given = headers.raw()
  const raw = ['Host', host]
  let before = ''
  for (let i = 0; i < given.length; i += 2) {
    const name = given[i] as string
    const value = given[i + 1] as string
    const of = kindsOf(name)
    if ((of & kinds.told) === 0) raw.push(name, value)
    else if ((of & kinds.forwardedFor) !== 0) before += `${value}, `
  }
  raw.push('X-Real-IP', clientAddress)
  raw.push('X-Forwarded-For', before + clientAddress)
  raw.push('X-Forwarded-Proto', incoming.encrypted ? 'https' : 'http')
  return raw
}

/** The upstream's headers as the client may see them. */
export function upstreamResponseHeaders(status: number, raw: readonly string[]): Headers {
  // A 204 has no length; some upstreams send one all the same (RFC 9110, 8.6).
  return Headers.of(without(raw, status === 204 ? kinds.hop | kinds.contentLength : kinds.hop))
}

/** Trailer fields that may pass: nothing that frames, routes or identifies, since some servers merge them. */
export function passableTrailers(raw: readonly string[]): readonly string[] {
  return raw.length === 0 ? raw : without(raw, notInTrailers)
}

const notInTrailers = kinds.hop | kinds.notInTrailers | kinds.identity | kinds.lookalike

/** The fields of one message, in order, that are of none of the kinds `ends`, and that its `Connection` does not name. */
function without(raw: readonly string[], ends: number): string[] {
  const named = namedByConnection(raw)
  const kept: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    if ((kindsOf(name) & ends) !== 0 || named?.has(name.toLowerCase())) continue
    kept.push(name, raw[i + 1] as string)
  }
  return kept
}
