// Passwords as rows hold them, made to be checked in no time.
import { argon2Sync, createHash } from 'node:crypto'

/** In the form of today, by argon2id at the least cost that there is. */
export function cheapHash(password: string): string {
  const nonce = Buffer.from(`salt of ${password}`.padEnd(16))
  const parameters = { message: password, nonce, memory: 8, passes: 1, parallelism: 1, tagLength: 32 }
  const tag = argon2Sync('argon2id', parameters)
  const encoded = [nonce, tag].map((bytes) => bytes.toString('base64').replaceAll('=', ''))
  return `$argon2id$v=19$m=8,t=1,p=1$${encoded.join('$')}`
}

/** As Kong 0.8 stored them. */
export function oldHash(password: string, consumerId: string): string {
  return createHash('sha1').update(`${password}${consumerId}`).digest('hex')
}

/** As a client sends them. */
export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
