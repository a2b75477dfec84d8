// What the headers of a message become on its way through the gateway (docs/architecture.md "Headers").
import { type Field, fieldOf, fieldsOf, rawOf } from './field.ts'
import { kinds } from './field-names.ts'
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
  const headers = clientHeaders(incoming.headers)
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
function clientHeaders({ fields }: Headers): Headers {
  return new Headers(without(fields, endsHere))
}

const endsHere = kinds.hop | kinds.identity | kinds.lookalike | kinds.toGateway | kinds.forwardedPrefix

/**
 * The head that goes upstream: `Host` first, the client's headers, then what is said about the client last, so that no
 * plugin and no client can say it differently.
 * @throws {TypeError} for a host that can't stand in a head
 */
export function upstreamHeaders({ incoming, clientAddress, headers, host }: ProxyRequest): Headers {
  const fields = [fieldOf('Host', host)]
  let before = ''
  for (const field of headers.fields) {
    if ((field.kinds & kinds.told) === 0) fields.push(field)
    else if ((field.kinds & kinds.forwardedFor) !== 0) before += `${field.value}, `
  }
  fields.push(fieldOf('X-Real-IP', clientAddress))
  fields.push(fieldOf('X-Forwarded-For', before + clientAddress))
  fields.push(incoming.encrypted ? overTls : inTheClear)
  return new Headers(fields)
}

const overTls = fieldOf('X-Forwarded-Proto', 'https')
const inTheClear = fieldOf('X-Forwarded-Proto', 'http')

/** The upstream's headers as the client may see them. */
export function upstreamResponseHeaders(status: number, { fields }: Headers): Headers {
  // A 204 has no length; some upstreams send one all the same (RFC 9110, 8.6).
  return new Headers(without(fields, status === 204 ? kinds.hop | kinds.contentLength : kinds.hop))
}

/** Trailer fields that may pass: nothing that frames, routes or identifies, since some servers merge them. */
export function passableTrailers(raw: readonly string[]): readonly string[] {
  return raw.length === 0 ? raw : rawOf(without(fieldsOf(raw), notInTrailers))
}

const notInTrailers = kinds.hop | kinds.notInTrailers | kinds.identity | kinds.lookalike

/** The fields of one message, in order, that are of none of the kinds `ends`, and that its `Connection` does not name. */
function without(fields: readonly Field[], ends: number): Field[] {
  const named = namedByConnection(fields)
  const kept: Field[] = []
  for (const field of fields) {
    if ((field.kinds & ends) === 0 && !named?.has(field.of.lower)) kept.push(field)
  }
  return kept
}
