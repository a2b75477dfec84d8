// The head of a request over HTTP/2, in the words of HTTP/1.1, and what of it is refused. What can be told from a head
// alone, nghttp2 has seen to: pseudo-header fields that are missing, repeated, unknown or out of place, upper-case names,
// and fields that belong to one connection of HTTP/1.1 (RFC 9113, 8.2 and 8.3) have reset the stream by then.
import type { RefusalReason } from '../errors.ts'
import { Headers } from '../headers.ts'
import { http2Version } from '../request.ts'
import type { HeadBounds } from './limits.ts'
import { faultOfRequest } from './strictness.ts'

export interface Http2Head {
  readonly method: string
  readonly target: string
  /** `host` first; no pseudo-header fields. */
  readonly headers: Headers
}

/**
 * @param raw  names and values in turn, pseudo-header fields among them
 * @returns the head, or why it is refused
 */
export function readHead(raw: readonly string[], bounds: HeadBounds): Http2Head | RefusalReason {
  const pseudo: Record<string, string> = Object.create(null)
  const rawHeaders: string[] = []
  let cookieAt = -1
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    if (name.startsWith(':')) pseudo[name] = value
    else if (name === 'cookie' && cookieAt >= 0) rawHeaders[cookieAt] += `; ${value}`
    else {
      if (name === 'cookie') cookieAt = rawHeaders.length + 1
      rawHeaders.push(name, value)
    }
  }
  const { ':method': method = '', ':path': target = '', ':scheme': scheme, ':authority': authority } = pseudo
  const own = takeHost(rawHeaders)
  const host = authority ?? own
  // An upstream that goes by one of them, and a plugin that goes by the other, would see two requests.
  if (own !== undefined && own.toLowerCase() !== host?.toLowerCase()) return 'host'
  if (host !== undefined) rawHeaders.unshift('host', host)
  const fault = faultOfRequest({ method, url: target, httpVersion: http2Version, rawHeaders }, bounds)
  if (fault) return fault
  const isOfHttp = scheme === 'https' || scheme === 'http'
  if (!isOfHttp || !(target.startsWith('/') || target === '*')) return 'target'
  return { method, target, headers: Headers.read(rawHeaders) }
}

/** The value of the field `host`, if there is one, which it takes out. */
function takeHost(rawHeaders: string[]): string | undefined {
  const at = rawHeaders.findIndex((name, i) => i % 2 === 0 && name === 'host')
  return at < 0 ? undefined : rawHeaders.splice(at, 2)[1]
}
