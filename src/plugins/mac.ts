import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'

/**
 * Whether `given` is the HMAC of `text`. How long that takes does not tell how much of it is right.
 *
 * @param key   text, or a key that was made once: of bytes Node would make one each time, which takes longer than all this
 * @param text  each byte one char
 */
export function isMac(
  digest: 'sha1' | 'sha256' | 'sha384' | 'sha512',
  key: string | KeyObject,
  text: string,
  given: Buffer,
): boolean {
  // A string that is read into a buffer is there sooner than a buffer that is made for the digest.
  const own = Buffer.from(createHmac(digest, key).update(text, 'latin1').digest('binary'), 'latin1')
  return own.length === given.length && timingSafeEqual(own, given)
}
