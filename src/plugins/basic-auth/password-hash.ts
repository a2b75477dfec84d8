// Passwords as rows hold them: argon2id in the PHC string format (`$argon2id$v=19$m=…,t=…,p=…$salt$tag`), or what 0.8
// left, the hex SHA-1 of the password and the consumer's id.
import { argon2, createHash, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Random } from '../../base/random.ts'

/**
 * What OWASP's Password Storage Cheat Sheet asks for at least: some 30 ms of a core and 19 MiB for one. More makes
 * guessing costlier for whoever has the table, and first uses slower.
 */
const today = { memory: 19_456, passes: 2, parallelism: 1 }
const saltBytes = 16
const tagBytes = 32

/** What a row may ask of a node: beyond it a row is taken for none, rather than for what stops the node. */
const most = { memory: 1_048_576, passes: 100, parallelism: 16 }

interface Hashed {
  readonly memory: number
  readonly passes: number
  readonly parallelism: number
  readonly salt: Buffer
  readonly tag: Buffer
}

export async function hashPassword(password: string, random: Random): Promise<string> {
  const salt = Buffer.from(random.hex(saltBytes), 'hex')
  return print({ ...today, salt, tag: await derive(password, { ...today, salt }, tagBytes) })
}

/** What no password matches, and takes as long to find out as of any other. */
export function decoy(random: Random): string {
  const bytes = (count: number) => Buffer.from(random.hex(count), 'hex')
  return print({ ...today, salt: bytes(saltBytes), tag: bytes(tagBytes) })
}

/** Whether rows with `stored` can be matched by `isPassword`. */
export function isHashed(stored: unknown): stored is string {
  return typeof stored === 'string' && parse(stored) !== undefined
}

/** Whether `stored` was made of `password`. Off this thread, and long. */
export async function isPassword(password: string, stored: string): Promise<boolean> {
  const hashed = parse(stored)
  return (
    hashed !== undefined && timingSafeEqual(hashed.tag, await derive(password, hashed, hashed.tag.length))
  )
}

/** Whether 0.8 made `stored` of `password`. At once. */
export function isOldPassword(password: string, stored: unknown, consumerId: string): boolean {
  if (typeof stored !== 'string' || !/^[0-9a-f]{40}$/.test(stored)) return false
  const digest = createHash('sha1').update(password).update(consumerId).digest()
  return timingSafeEqual(digest, Buffer.from(stored, 'hex'))
}

const computed = promisify(argon2)

function derive(password: string, how: Omit<Hashed, 'tag'>, tagLength: number): Promise<Buffer> {
  const { memory, passes, parallelism, salt: nonce } = how
  return computed('argon2id', { message: password, nonce, memory, passes, parallelism, tagLength })
}

function print({ memory, passes, parallelism, salt, tag }: Hashed): string {
  const encoded = [salt, tag].map((bytes) => bytes.toString('base64').replaceAll('=', ''))
  return ['', 'argon2id', 'v=19', `m=${memory},t=${passes},p=${parallelism}`, ...encoded].join('$')
}

const form = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/

function parse(stored: string): Hashed | undefined {
  const [, ...parts] = form.exec(stored) ?? []
  const [memory = 0, passes = 0, parallelism = 0] = parts.slice(0, 3).map(Number)
  const [salt, tag] = parts.slice(3).map((part) => Buffer.from(part, 'base64'))
  if (!salt || !tag || salt.length < 8 || tag.length < 16 || tag.length > 64) return undefined
  const isAllowed = passes >= 1 && parallelism >= 1 && memory >= 8 * parallelism
  if (!isAllowed || memory > most.memory || passes > most.passes || parallelism > most.parallelism) {
    return undefined
  }
  return { memory, passes, parallelism, salt, tag }
}
