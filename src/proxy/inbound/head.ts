// The head of an answer as text, for what node:http has no call for.
import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http'

/**
 * Status line, fields and the empty line; to be written as latin1, since each character is a byte.
 * @param reason  undefined, or what is no reason phrase: the usual one
 * @param raw     names and values in turn
 * @throws {TypeError} as `requireFields`
 */
export function headText(status: number, reason: string | undefined, raw: readonly string[]): string {
  requireFields(raw)
  const lines = [`HTTP/1.1 ${status} ${phraseOf(status, reason)}`]
  for (let i = 0; i < raw.length; i += 2) lines.push(`${raw[i]}: ${raw[i + 1]}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** A body that is no larger is written as text, with its head and in one go; node:net would copy larger texts. */
export const textMax = 16 * 1024

/** Each byte one char. */
export function latin1(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return buffer.toString('latin1')
}

/** @throws {TypeError} for names and values that can't stand in a head */
export function requireFields(raw: readonly string[]): void {
  for (let i = 0; i < raw.length; i += 2) requireField(raw[i] as string, raw[i + 1] as string)
}

/** @throws {TypeError} as `requireFields` */
export function requireField(name: string, value: string): void {
  // Most are fine, and the two below take several times as long to find that out.
  if (namePattern.test(name) && !notInValue.test(value)) return
  validateHeaderName(name)
  validateHeaderValue(name, value)
}

const namePattern = /^[\w!#$%&'*+.^`|~-]+$/
const notInValue = /[^\t\x20-\x7e\x80-\xff]/

/** RFC 9110, 6.4.1. */
export function isBodilessStatus(status: number): boolean {
  return status < 200 || status === 204 || status === 304
}

/**
 * Whether fields can come after the body of an answer to a client of HTTP/1.1. They need chunks to come after: none
 * follow a counted body, or no body.
 */
export function canHaveTrailers(method: string, status: number, raw: readonly string[]): boolean {
  if (method === 'HEAD' || isBodilessStatus(status)) return false
  return !raw.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-length')
}

/** `reason`, if it can be a reason phrase, else the usual one. */
export function phraseOf(status: number, reason: string | undefined): string {
  const isPhrase = reason !== undefined && reason !== '' && !notInValue.test(reason)
  return isPhrase ? reason : (STATUS_CODES[status] ?? 'Unknown')
}
