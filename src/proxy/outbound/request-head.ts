// The head of a request as it goes to an upstream, with the framing that fits its body, which is never left to chance.
import { canBeField, fieldOf } from '../field.ts'
import { kinds } from '../field-names.ts'
import type { Headers } from '../headers.ts'
import type { OutboundRequest } from './outbound.ts'

export interface RequestHead {
  /** Request line, fields and the empty line; to be written as latin1, since each character is a byte. */
  readonly text: string
  /** Bytes of the body that it announces; undefined: it comes in chunks, or there is none. */
  readonly length: number | undefined
}

type Parts = Pick<OutboundRequest, 'method' | 'target' | 'headers' | 'body' | 'upgrade'>

/** @throws {TypeError} for a request line or a protocol that can't stand in a head, and a length that is not the body's */
export function requestHead({ method, target, headers, body, upgrade }: Parts): RequestHead {
  let length: number | undefined
  let text = `${method} ${target} HTTP/1.1\r\n`
  if (!requestLine.test(text)) throw new TypeError(faultOf(target))
  for (const field of headers.fields) {
    const of = field.kinds & framing
    let { line } = field
    if (of !== 0) {
      // What says how this one connection goes on, or where a body ends, is said here.
      if ((of & kinds.hop) !== 0) continue
      // Fields after the body need chunks to come after.
      if ((of & kinds.trailer) !== 0 && (!body || hasLength(headers))) continue
      if ((of & kinds.contentLength) !== 0) {
        if (length !== undefined) continue
        const { value } = field
        length = lengthOf(value)
        // Zeros before it are allowed, and read as a number to another base by some.
        if (value !== String(length)) line = fieldOf(field.name, String(length)).line
      }
    }
    text += line
  }
  if (!body && length !== undefined && length > 0) throw new TypeError('there is a length, and no body')
  if (upgrade !== null) text += `Connection: Upgrade\r\n${fieldOf('Upgrade', upgrade).line}`
  else if (body && length === undefined) text += 'Transfer-Encoding: chunked\r\n'
  else if (!body && length === undefined && !bodiless.has(method)) text += 'Content-Length: 0\r\n'
  return { text: `${text}\r\n`, length: body ? length : undefined }
}

/** The fields after the last chunk; none of them when one can't stand there. */
export function trailerText(raw: readonly string[]): string {
  let text = ''
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    if (!canBeField(name, value)) return ''
    text += `${name}: ${value}\r\n`
  }
  return text
}

const framing = kinds.hop | kinds.contentLength | kinds.trailer

const bodiless = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

const requestLine = /^[A-Z-]+ [\x21-\xff]+ HTTP\/1\.1\r\n$/

function lengthOf(value: string): number {
  const length = /^\d+$/.test(value) ? Number(value) : Number.NaN
  if (!(length <= Number.MAX_SAFE_INTEGER)) throw new TypeError(`no proper Content-Length: ${value}`)
  return length
}

function hasLength({ fields }: Headers): boolean {
  return fields.some((field) => (field.kinds & kinds.contentLength) !== 0)
}

function faultOf(target: string): string {
  return /^[\x21-\xff]+$/.test(target) ? 'no proper method' : 'the target has a blank, or what is no byte'
}
