// The head of a request as it goes to an upstream, with the framing that fits its body, which is never left to chance.
import { kinds, kindsOf } from '../field-names.ts'
import type { OutboundRequest } from './outbound.ts'

export interface RequestHead {
  /** Request line, fields and the empty line; to be written as latin1, since each character is a byte. */
  readonly text: string
  /** Bytes of the body that it announces; undefined: it comes in chunks, or there is none. */
  readonly length: number | undefined
}

type Parts = Pick<OutboundRequest, 'method' | 'target' | 'headers' | 'body' | 'upgrade'>

/** @throws {TypeError} for a target or fields that can't stand in a head, and a length that is not the body's */
export function requestHead({ method, target, headers, body, upgrade }: Parts): RequestHead {
  let length: number | undefined
  let lines = 1
  let text = `${method} ${target} HTTP/1.1\r\n`
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    let value = headers[i + 1] as string
    const of = kindsOf(name) & framing
    if (of !== 0) {
      // What says how this one connection goes on, or where a body ends, is said here.
      if ((of & kinds.hop) !== 0) continue
      // Fields after the body need chunks to come after.
      if ((of & kinds.trailer) !== 0 && (!body || hasLength(headers))) continue
      if ((of & kinds.contentLength) !== 0) {
        if (length !== undefined) continue
        length = lengthOf(value)
        // Zeros before it are allowed, and read as a number to another base by some.
        value = String(length)
      }
    }
    text += `${name}: ${value}\r\n`
    lines++
  }
  if (!body && length !== undefined && length > 0) throw new TypeError('there is a length, and no body')
  if (upgrade !== null) {
    text += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`
    lines += 2
  } else if (body && length === undefined) {
    text += 'Transfer-Encoding: chunked\r\n'
    lines++
  } else if (!body && length === undefined && !bodiless.has(method)) {
    text += 'Content-Length: 0\r\n'
    lines++
  }
  if (linesOf(text) !== lines || !head.test(text)) throw new TypeError(faultOf(target, headers))
  return { text: `${text}\r\n`, length: body ? length : undefined }
}

/** The fields after the last chunk; none of them when one can't stand there. */
export function trailerText(raw: readonly string[]): string {
  let text = ''
  for (let i = 0; i < raw.length; i += 2) text += `${raw[i]}: ${raw[i + 1]}\r\n`
  return linesOf(text) === raw.length / 2 && fields.test(text) ? text : ''
}

const framing = kinds.hop | kinds.contentLength | kinds.trailer

const bodiless = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

// All is tested at once, which takes a fraction of the time. A field that has others in its value shows by the number
// of lines.
const field = "[\\w!#$%&'*+\\-.^`|~]+: [\\t\\x20-\\x7e\\x80-\\xff]*\\r\\n"
const fields = new RegExp(`^(?:${field})*$`)
const head = new RegExp(`^[A-Z-]+ [\\x21-\\xff]+ HTTP/1\\.1\\r\\n(?:${field})*$`)

function linesOf(text: string): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++
  return lines
}

function lengthOf(value: string): number {
  const length = /^\d+$/.test(value) ? Number(value) : Number.NaN
  if (!(length <= Number.MAX_SAFE_INTEGER)) throw new TypeError(`no proper Content-Length: ${value}`)
  return length
}

function hasLength(headers: readonly string[]): boolean {
  return headers.some((name, i) => i % 2 === 0 && (kindsOf(name) & kinds.contentLength) !== 0)
}

/** Says which: never the value, which may be a secret. */
function faultOf(target: string, headers: readonly string[]): string {
  if (!/^[\x21-\xff]+$/.test(target)) return 'the target has a blank, or what is no byte'
  const wrong = headers.findIndex((_, i) => i % 2 === 0 && trailerText(headers.slice(i, i + 2)) === '')
  return wrong < 0 ? 'no proper method' : `the field ${JSON.stringify(headers[wrong])} can't stand in a head`
}
