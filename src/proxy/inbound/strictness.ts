// What is refused although node:http would take it, and what it refuses, in our words.
import type { IncomingMessage, ServerOptions } from 'node:http'
import { codeOf } from '../../base/errors.ts'
import { http } from '../../base/http.ts'
import type { RefusalReason } from '../errors.ts'
import { canBeField } from '../field.ts'
import type { HeadBounds } from './limits.ts'

/** How node:http is told to read. */
export function strictOptions({ headBytesMax, requestLineBytesMax }: HeadBounds): ServerOptions {
  return {
    insecureHTTPParser: false,
    // How long a client may take is looked at by the inbound, whether it has a Host below.
    headersTimeout: 0,
    requestTimeout: 0,
    requireHostHeader: false,
    // It counts the target, too. With some room, it is told below which of them is too long.
    maxHeaderSize: headBytesMax + requestLineBytesMax,
  }
}

type Head = Pick<IncomingMessage, 'method' | 'url' | 'httpVersion' | 'rawHeaders'>

/** Undefined for a head that is fine. */
export function faultOf(head: Head, bounds: HeadBounds): RefusalReason | undefined {
  // The parser knows HTTP/0.9 and 2.0, and the methods of RTSP, too.
  if (head.httpVersion !== '1.1' && head.httpVersion !== '1.0') return 'version'
  return faultOfRequest(head, bounds)
}

/** As `faultOf`, where the version is known to be one that is spoken. */
export function faultOfRequest(head: Head, bounds: HeadBounds): RefusalReason | undefined {
  if (!methods.has(head.method as string)) return 'method'
  return faultOfTarget(head, bounds) ?? faultOfFields(head, bounds)
}

/** TRACE shows whoever asks what the gateway tells the upstream; CONNECT makes a tunnel of any. */
const methods = new Set(http.METHODS.filter((method) => method !== 'TRACE' && method !== 'CONNECT'))

function faultOfTarget(
  { method, url }: Head,
  { requestLineBytesMax }: HeadBounds,
): RefusalReason | undefined {
  const target = url as string
  const lineBytes = (method as string).length + target.length + '  HTTP/1.1'.length
  if (lineBytes > requestLineBytesMax) return 'long-line'
  // Where a fragment begins for some, the path goes on for others.
  if (target.includes('#')) return 'target'
  if (target.startsWith('/')) return undefined
  const authority = /^https?:\/\/([^/?]*)/i.exec(target)?.[1]
  // Of other forms the resolver says that it has no use for them.
  return authority !== undefined && !hostPattern.test(authority) ? 'target' : undefined
}

/** RFC 3986, 3.2.2, with a port; no user, who would be taken for the host by some. */
const hostPattern = /^(?:[\w.~!$&'()*+,;=%-]+|\[[\da-f:.]+\])(?::\d{0,5})?$/i

/** One look at each field: what frames and what routes must be there once, and mean one thing. */
function faultOfFields(
  { httpVersion, rawHeaders: raw }: Head,
  bounds: HeadBounds,
): RefusalReason | undefined {
  if (raw.length > 2 * bounds.fieldsMax) return 'large-head'
  let bytes = 0
  let hosts = 0
  let codings = 0
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    const lineBytes = name.length + value.length + ': \r\n'.length
    if (lineBytes > bounds.fieldLineBytesMax) return 'large-head'
    bytes += lineBytes
    if (!canBeField(name, value)) return 'syntax'
    let fault: RefusalReason | undefined
    // Most names are told apart by their length alone.
    if (name.length === 4 && isNamed(name, 'host')) fault = ++hosts > 1 ? 'host' : faultOfHost(value)
    else if (name.length === 17 && isNamed(name, 'transfer-encoding'))
      fault = ++codings > 1 || httpVersion === '1.0' ? 'framing' : faultOfCoding(value)
    else if (name.length === 14 && isNamed(name, 'content-length')) fault = faultOfLength(value)
    else if (name.length === 15 && isNamed(name, 'x-host-override'))
      fault = value === '' ? undefined : faultOfHost(value)
    else if (name.length === 6 && httpVersion !== '1.0' && isNamed(name, 'expect'))
      fault = isNamed(value, '100-continue') ? undefined : 'expectation'
    if (fault) return fault
  }
  if (bytes > bounds.headBytesMax) return 'large-head'
  return hosts === 0 && httpVersion !== '1.0' ? 'host' : undefined
}

/** Whether it is `lower`, in whatever case. */
function isNamed(text: string, lower: string): boolean {
  return text === lower || text.toLowerCase() === lower
}

function faultOfHost(value: string): RefusalReason | undefined {
  return isHost(value) ? undefined : 'host'
}

/** Whether a value of `Host`, which a parser has freed of the blanks around it, names one. */
export function isHost(value: string): boolean {
  return hostPattern.test(value)
}

/** Codings other than chunks would be lost on the way, and the upstream would take the body for something else. */
function faultOfCoding(value: string): RefusalReason | undefined {
  if (isNamed(value, 'chunked')) return undefined
  return /^(?:x-)?(?:gzip|compress|deflate)[ \t]*,[ \t]*chunked$/i.test(value) ? 'coding' : 'framing'
}

/** Beyond what a double holds exactly, and so beyond what some upstream can read. */
function faultOfLength(value: string): RefusalReason | undefined {
  return Number(value) > Number.MAX_SAFE_INTEGER ? 'framing' : undefined
}

/** Why the parser gave up; undefined when the client is not to blame, or has gone. */
export function refusalOf(error: Error): RefusalReason | undefined {
  const code = codeOf(error) ?? ''
  // What comes after the last request of a connection, which was told to be that, is nobody's (RFC 9112, 9.6).
  if (code === 'ECONNRESET' || code === 'HPE_CLOSED_CONNECTION') return undefined
  if (code === 'HPE_INVALID_VERSION' && 'reason' in error && error.reason === 'Invalid HTTP version')
    return 'version'
  return reasonOfCode[code] ?? 'syntax'
}

const reasonOfCode: Readonly<Record<string, RefusalReason>> = {
  HPE_HEADER_OVERFLOW: 'large-head',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'chunk-extensions',
  HPE_INVALID_CHUNK_SIZE: 'framing',
  HPE_INVALID_CONTENT_LENGTH: 'framing',
  HPE_INVALID_TRANSFER_ENCODING: 'framing',
  HPE_UNEXPECTED_CONTENT_LENGTH: 'framing',
  // The preface of HTTP/2.
  HPE_PAUSED_H2_UPGRADE: 'version',
}
