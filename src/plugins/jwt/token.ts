// A JSON Web Token as text (RFC 7519, in the compact form of RFC 7515), read strictly: whoever verifies it after us
// must not be able to read it in another way.
import { isUtf8 } from 'node:buffer'
import { isObject, type JsonObject } from '../../base/json.ts'
import { type Algorithm, isAlgorithm } from './algorithms.ts'

export interface Token {
  readonly algorithm: Algorithm
  readonly claims: JsonObject
  /** What the signature is over. */
  readonly signed: string
  readonly signature: Buffer
}

/** Text that is no token, or one that nobody here can verify. */
export class BadToken extends Error {}

/** @throws {BadToken} with what is wrong with it */
export function parseToken(text: string): Token {
  const parts = text.split('.')
  const [header = '', claims = '', signature = ''] = parts
  if (parts.length !== 3) throw new BadToken(`${parts.length} parts instead of 3`)
  const { typ = 'JWT', alg, crit } = parseObject(header, 'header')
  if (typeof typ !== 'string' || typ.toUpperCase() !== 'JWT') throw new BadToken('invalid typ')
  if (!isAlgorithm(alg)) throw new BadToken('invalid alg')
  // Names what a reader has to understand; here nothing is (RFC 7515, 4.1.11).
  if (crit !== undefined) throw new BadToken('crit is not supported')
  return {
    algorithm: alg,
    claims: parseObject(claims, 'claims'),
    signed: `${header}.${claims}`,
    signature: decode(signature, 'signature'),
  }
}

function parseObject(part: string, name: string): JsonObject {
  const bytes = decode(part, name)
  let value: unknown
  try {
    value = isUtf8(bytes) ? JSON.parse(bytes.toString()) : undefined
  } catch {
    // Told below.
  }
  if (!isObject(value)) throw new BadToken(`${name} is not a JSON object`)
  return value
}

/** Base64url in its one canonical form: what else the decoder would take is no token. */
function decode(part: string, name: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) throw new BadToken(`${name} is not base64url`)
  return bytes
}
