// A JSON Web Token as text (RFC 7519, in the compact form of RFC 7515), read strictly: whoever verifies it after us
// must not be able to read it in another way.
import { isUtf8 } from 'node:buffer'
import QuickLRU from 'quick-lru'
import { isObject, type JsonObject } from '../../base/json.ts'
import { type Algorithm, isAlgorithm, type Verify } from './algorithms.ts'

export interface Token {
  readonly text: string
  readonly algorithm: Algorithm
  readonly claims: JsonObject
}

/** Text that is no token, or one that nobody here can verify. */
export class BadToken extends Error {}

/** Headers remembered, and the longest of them: a client library writes the same one into all its tokens. */
const headersMax = 100
const headerCharsMax = 200

/** Reads the headers of tokens, each once: nothing of them is a secret, or is ever over. */
export class KnownHeaders {
  readonly #algorithms = new QuickLRU<string, Algorithm>({ maxSize: headersMax })

  /** @throws {BadToken} as `parseToken` */
  algorithmOf(header: string): Algorithm {
    const known = this.#algorithms.get(header)
    if (known !== undefined) return known
    const algorithm = parseHeader(header)
    if (header.length <= headerCharsMax) this.#algorithms.set(header, algorithm)
    return algorithm
  }
}

/** @throws {BadToken} with what is wrong with it */
export function parseToken(text: string, known = new KnownHeaders()): Token {
  const parts = text.split('.')
  const [header = '', claims = '', signature = ''] = parts
  if (parts.length !== 3) throw new BadToken(`${parts.length} parts instead of 3`)
  const token = { text, algorithm: known.algorithmOf(header), claims: parseObject(claims, 'claims') }
  decode(signature, 'signature')
  return token
}

/** Whether the signature is that of what stands before it. */
export function isSigned({ text }: Token, verify: Verify): boolean {
  const end = text.lastIndexOf('.')
  return verify(text.slice(0, end), Buffer.from(text.slice(end + 1), 'base64url'))
}

function parseHeader(header: string): Algorithm {
  const { typ = 'JWT', alg, crit } = parseObject(header, 'header')
  if (typeof typ !== 'string' || typ.toUpperCase() !== 'JWT') throw new BadToken('invalid typ')
  if (!isAlgorithm(alg)) throw new BadToken('invalid alg')
  // Names what a reader has to understand; here nothing is (RFC 7515, 4.1.11).
  if (crit !== undefined) throw new BadToken('crit is not supported')
  return alg
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
