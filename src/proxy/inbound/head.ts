// The head of an answer as text, for what node:http has no call for.
import { http } from '../../base/http.ts'
import { notInValue } from '../field.ts'
import { kinds } from '../field-names.ts'
import type { Headers } from '../headers.ts'

/**
 * Status line, fields and the empty line; to be written as latin1, since each character is a byte.
 * @param reason  undefined, or what is no reason phrase: the usual one
 */
export function headText(status: number, reason: string | undefined, { fields }: Headers): string {
  let text = `HTTP/1.1 ${status} ${phraseOf(status, reason)}\r\n`
  for (const { line } of fields) text += line
  return `${text}\r\n`
}

/** As node:http takes numbers that are none of HTTP's. @throws {RangeError} for what can be no status */
export function statusOf(given: number): number {
  const status = given | 0
  if (status < 100 || status > 999) throw new RangeError(`no status of HTTP: ${given}`)
  return status
}

/** A body that is no larger is written as text, with its head and in one go; node:net would copy larger texts. */
export const textMax = 16 * 1024

/** Each byte one char. */
export function latin1(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return buffer.toString('latin1')
}

/** RFC 9110, 6.4.1. */
export function isBodilessStatus(status: number): boolean {
  return status < 200 || status === 204 || status === 304
}

/**
 * Whether fields can come after the body of an answer to a client of HTTP/1.1. They need chunks to come after: none
 * follow a counted body, or no body.
 */
export function canHaveTrailers(method: string, status: number, { fields }: Headers): boolean {
  if (method === 'HEAD' || isBodilessStatus(status)) return false
  return !fields.some((field) => (field.kinds & kinds.contentLength) !== 0)
}

/** `reason`, if it can be a reason phrase, else the usual one. */
export function phraseOf(status: number, reason: string | undefined): string {
  const isPhrase = reason !== undefined && reason !== '' && !notInValue.test(reason)
  return isPhrase ? reason : (http.STATUS_CODES[status] ?? 'Unknown')
}
