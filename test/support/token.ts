// JSON Web Tokens by hand, so that they can be wrong.
import { createHmac } from 'node:crypto'
import type { JsonObject } from '../../src/base/json.ts'

/** A part that is text is taken as it is. */
export function encodedPart(part: string | JsonObject): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}

/** Signed by HMAC with SHA-256, whatever the header says, or with another digest. */
export function signedToken(
  claims: string | JsonObject,
  secret: string | Buffer,
  header: JsonObject = { alg: 'HS256', typ: 'JWT' },
  digest = 'sha256',
): string {
  const signed = `${encodedPart(header)}.${encodedPart(claims)}`
  return `${signed}.${createHmac(digest, secret).update(signed).digest('base64url')}`
}
