// The chain of digests, recomputed from what was received. The same sum as `event_digest` in
// migrations/0001_log.ts.
import { hash } from 'node:crypto'
import type { Position, Stamp } from '../base/stamp.ts'
import type { LogEvent } from './event.ts'

const positionBytes = 8

/**
 * SHA-256(previous ‖ position as 8 bytes, big-endian ‖ body in UTF-8).
 * @param previous  the digest at `position - 1`, in hex
 * @param body      the event's text exactly as it was received
 * @returns         64 lower-case hex digits
 */
export function eventDigest(previous: string, position: Position, body: string): string {
  const digested = Buffer.allocUnsafe(previous.length / 2 + positionBytes + Buffer.byteLength(body))
  const placeAt = digested.write(previous, 'hex')
  digested.writeBigInt64BE(BigInt(position), placeAt)
  digested.write(body, placeAt + positionBytes)
  return hash('sha256', digested)
}

/**
 * Whether `events` go on from `applied`: the next positions without a hole, each digest the sum of what was
 * received, and no transaction cut at its beginning.
 */
export function continues(applied: Stamp, events: readonly LogEvent[]): boolean {
  let { position, digest } = applied
  let first = position + 1
  for (const event of events) {
    position += 1
    digest = eventDigest(digest, position, event.body)
    if (event.first !== first) first = position
    if (event.position !== position || event.first !== first || event.digest !== digest) return false
  }
  return true
}
