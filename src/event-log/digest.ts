// The chain of digests, recomputed from what was received. The same sum as `event_digest` in
// migrations/0001_log.ts.
import { createHash } from 'node:crypto'
import type { Position, Stamp } from '../base/stamp.ts'
import type { LogEvent } from './event.ts'

/**
 * SHA-256(previous ‖ position as 8 bytes, big-endian ‖ body in UTF-8).
 * @param previous  the digest at `position - 1`, in hex
 * @param body      the event's text exactly as it was received
 * @returns         64 lower-case hex digits
 */
export function eventDigest(previous: string, position: Position, body: string): string {
  const place = Buffer.alloc(8)
  place.writeBigInt64BE(BigInt(position))
  return createHash('sha256').update(previous, 'hex').update(place).update(body, 'utf8').digest('hex')
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
