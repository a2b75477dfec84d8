// What a gRPC client is told where the answer is none of gRPC: its libraries look for a status of their own in fields,
// and take no other for one (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Responses").
import { http } from '../../base/http.ts'
import { kinds, kindsOf } from '../field-names.ts'

/** The statuses of gRPC that stand for those of HTTP, as Kong and Google have them; for others it is `UNKNOWN`. */
const statuses: Readonly<Record<number, number>> = {
  400: 3, // INVALID_ARGUMENT
  401: 16, // UNAUTHENTICATED
  403: 7, // PERMISSION_DENIED
  404: 12, // UNIMPLEMENTED: no API has it
  408: 4, // DEADLINE_EXCEEDED
  413: 8, // RESOURCE_EXHAUSTED
  429: 8, // RESOURCE_EXHAUSTED
  431: 8, // RESOURCE_EXHAUSTED
  500: 13, // INTERNAL
  502: 14, // UNAVAILABLE
  503: 14, // UNAVAILABLE
  504: 4, // DEADLINE_EXCEEDED
}
const unknown = 2

/** @param raw  the fields of a request, or of an answer */
export function isGrpc(raw: readonly string[]): boolean {
  const at = raw.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type')
  return at >= 0 && /^application\/grpc(?:$|[+;])/i.test(raw[at + 1] as string)
}

/**
 * The only head of an answer without a body.
 * @param raw   the fields of what would have been the answer
 * @param body  of it, as far as it is there
 */
export function grpcHead(status: number, raw: readonly string[], body: Uint8Array | undefined): string[] {
  const head = [':status', '200', 'content-type', 'application/grpc']
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const isAboutBody = (kindsOf(name) & (kinds.contentLength | kinds.trailer)) !== 0
    if (!isAboutBody && !['content-type', 'content-encoding', ':status'].includes(name))
      head.push(name, raw[i + 1] as string)
  }
  const message = messageOf(body) ?? http.STATUS_CODES[status] ?? ''
  return [...head, 'grpc-status', String(statuses[status] ?? unknown), 'grpc-message', escaped(message)]
}

/** What the gateway and its plugins say is JSON with a message, or text. */
function messageOf(body: Uint8Array | undefined): string | undefined {
  const text = body === undefined ? '' : Buffer.from(body).toString().trim()
  if (text === '' || text.length > messageCharsMax || text.startsWith('<')) return undefined
  try {
    const told: unknown = JSON.parse(text)
    const isTold = typeof told === 'object' && told !== null && 'message' in told
    return isTold && typeof told.message === 'string' ? told.message : text
  } catch {
    return text
  }
}

/** A longer one is no message, but a page. */
const messageCharsMax = 1000

/** Bytes of UTF-8, but for what can stand in a field. */
function escaped(message: string): string {
  const bytes = [...Buffer.from(message)]
  return bytes.map((byte) => (isPlain(byte) ? String.fromCharCode(byte) : `%${hex(byte)}`)).join('')
}

function isPlain(byte: number): boolean {
  return byte >= 0x20 && byte <= 0x7e && byte !== 0x25
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0')
}
