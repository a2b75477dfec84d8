// Where the requests for an API go, as its `upstream_url` says. The Admin API refuses what can't be read here and
// the proxy reads by the same function: a row that was let in can be proxied.

export interface UpstreamUrl {
  /** Whether it is a gRPC server, which speaks HTTP/2 and nothing else. */
  readonly isGrpc: boolean
  readonly encrypted: boolean
  /** A name or an address, IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** Host and port as written: the `Host` header. */
  readonly authority: string
  /** Path without its one trailing `/`; empty when there is none. Byte for byte in UTF-8, each byte one char. */
  readonly path: string
  /** As `path`; undefined when there is no `?`. */
  readonly query: string | undefined
}

/** Undefined when nothing can be connected to by `url`, or it can't be put into a request. */
export function parseUpstreamUrl(url: string): UpstreamUrl | undefined {
  // The URL parser would skip blanks and control characters, and take `http:///x` and `http:\\x`, too.
  if (/[\s\p{Cc}]/u.test(url) || !URL.canParse(url)) return undefined
  const parts = shape.exec(url)?.groups
  if (!parts) return undefined
  const scheme = parts.scheme?.toLowerCase() ?? ''
  const encrypted = scheme.endsWith('s')
  const host = parts.host as string
  const port = parts.port === undefined ? (encrypted ? 443 : 80) : Number(parts.port)
  if (port === 0) return undefined
  return {
    isGrpc: scheme.startsWith('grpc'),
    encrypted,
    host: host.replace(/^\[|\]$/g, ''),
    port,
    authority: parts.port === undefined ? host : `${host}:${parts.port}`,
    path: bytesOf(parts.path ?? '').replace(/\/$/, ''),
    query: parts.query === undefined ? undefined : bytesOf(parts.query),
  }
}

const shape =
  /^(?<scheme>https?|grpcs?):\/\/(?:[^/?#]*@)?(?<host>\[[\da-f:.]+\]|[\w.-]+)(?::(?<port>\d+))?(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?(?:#|$)/i

function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
