// Signatures of requests by hand, for hmac-auth.
import { createHmac } from 'node:crypto'

/** HMAC with SHA-1, in base64. */
export function signatureOf(text: string, secret: string): string {
  return createHmac('sha1', secret).update(text, 'latin1').digest('base64')
}

/** As `Authorization` carries it: `headers` say what `signature` is over. */
export function signingHeader(username: string, headers: string, signature: string): string {
  return `hmac username="${username}", algorithm="hmac-sha1", headers="${headers}", signature="${signature}"`
}

/** Headers of a request that is dated `at` and signed over that. */
export function signedByDate(
  username: string,
  secret: string,
  at = new Date(),
): { date: string; authorization: string } {
  const date = at.toUTCString()
  return { date, authorization: signingHeader(username, 'date', signatureOf(`date: ${date}`, secret)) }
}
