// The record of one request that logging plugins write: contract for whoever reads their output.
import type { Json, JsonObject, Row } from '../base/json.ts'
import type { Headers } from './headers.ts'
import type { ProxyRequest } from './proxy-request.ts'

/** What is known when the last byte has gone. Moments are milliseconds on one monotonic clock. */
export interface Passed {
  readonly request: ProxyRequest
  /** Bytes of the request's body that were read. */
  readonly bodyBytes: number
  /** 499 when the client was gone before there was a status to send. */
  readonly status: number
  readonly responseHeaders: Headers
  readonly bytesSent: number
  readonly startedAt: number
  /** When the request went upstream; undefined when it did not. */
  readonly sentAt: number | undefined
  /** When the upstream's head came; undefined when it did not. */
  readonly headAt: number | undefined
  readonly endedAt: number
}

/**
 * Makes the record of docs/plugins.md. Headers and query are those that plugins left, so that
 * a credential that is hidden from the upstream is hidden from the log too; of the credential itself only ids
 * are told.
 */
export function logRecord(passed: Passed): JsonObject {
  const { request, responseHeaders, status } = passed
  const { incoming, query } = request
  const uri = uriOf(incoming.target, query)
  const host = request.headers.get('host') ?? ''
  return {
    request: {
      uri,
      request_uri: `${incoming.encrypted ? 'https' : 'http'}://${hostAndPort(host, incoming.localPort)}${uri}`,
      querystring: parseQuery(query),
      method: incoming.method,
      headers: readable(request.headers),
      size: String(headBytes(passed) + passed.bodyBytes),
    },
    response: { status, headers: readable(responseHeaders), size: String(passed.bytesSent) },
    latencies: latencies(passed),
    ...(request.credential && { authenticated_entity: entityOf(request.credential) }),
    api: withoutNulls(request.api),
    client_ip: request.clientAddress,
    started_at: incoming.receivedAt,
  }
}

/** Lower-case names, repeated fields joined. */
function readable(headers: Headers): JsonObject {
  const object: Record<string, string> = {}
  for (const { of, value } of headers.fields) {
    const name = of.lower
    const before = Object.hasOwn(object, name) ? `${object[name]}, ` : ''
    const told = before + readableText(value)
    if (name === '__proto__') Object.defineProperty(object, name, own(told))
    else object[name] = told
  }
  return object
}

/** Set otherwise, it would be no member. */
function own(value: string): PropertyDescriptor {
  return { value, enumerable: true, writable: true, configurable: true }
}

/** Values as text: header fields are bytes, one character each, and most that are not ASCII are UTF-8. */
function readableText(bytes: string): string {
  if (!/[\x80-\xff]/.test(bytes)) return bytes
  const text = Buffer.from(bytes, 'latin1').toString('utf8')
  // What is no UTF-8 is told as it is, byte for byte.
  return text.includes('\uFFFD') ? bytes : text
}

/** The path as it came in, with the query as plugins left it. */
function uriOf(target: string, query: string | undefined): string {
  const mark = target.indexOf('?')
  const whole = mark < 0 ? target : target.slice(0, mark)
  const path = whole.startsWith('/') ? whole : whole.replace(/^https?:\/\/[^/]*/i, '') || '/'
  return query === undefined ? path : `${path}?${query}`
}

function hostAndPort(host: string, port: number): string {
  return /:\d+$/.test(host) ? host : `${host}:${port}`
}

/** `a=1&a=2&b` → a: 1, 2; b: true. */
function parseQuery(query: string | undefined): { [name: string]: Json } {
  const values: { [name: string]: Json } = Object.create(null)
  if (query === undefined) return {}
  for (const part of query.split('&')) {
    if (part === '') continue
    const mark = part.indexOf('=')
    const name = decode(mark < 0 ? part : part.slice(0, mark))
    const value = mark < 0 ? true : decode(part.slice(mark + 1))
    const before = values[name]
    values[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value]
  }
  return values
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** Request line and headers, each line with its CRLF, and the empty line. */
function headBytes({ request: { incoming } }: Passed): number {
  const { method, target, headers } = incoming
  let bytes = method.length + target.length + ' HTTP/1.1\r\n'.length + 1 + '\r\n'.length
  for (const { line } of headers.fields) bytes += line.length
  return bytes
}

/** Whole milliseconds, rounded down, so that the parts never exceed the sum. */
function latencies({ startedAt, sentAt, headAt, endedAt }: Passed): JsonObject {
  const answeredAt = headAt ?? endedAt
  const waited = sentAt === undefined ? 0 : answeredAt - sentAt
  return {
    kong: Math.floor(endedAt - startedAt - waited),
    proxy: sentAt === undefined ? -1 : Math.floor(waited),
    request: Math.floor(endedAt - startedAt),
  }
}

function entityOf({ id, consumer_id }: Row): JsonObject {
  return { ...(id !== undefined && { id }), ...(consumer_id != null && { consumer_id }) }
}

const shown = new WeakMap<Row, JsonObject>()

/** As the Admin API shows it: what is not set is left out. A copy, since whoever is told may change it. */
function withoutNulls(row: Row): JsonObject {
  let object = shown.get(row)
  if (object === undefined) {
    object = Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
    shown.set(row, object)
  }
  return { ...object }
}
