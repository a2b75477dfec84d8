// Entity tags (RFC 9110, 8.8.3): the hash of what a client is shown of a row. Whoever sends one with a change makes it on
// what they saw or not at all.
import { createHash } from 'node:crypto'
import type { RouterContext } from '@koa/router'
import type { Row } from '../base/json.ts'
import type { Entity } from '../entities/define.ts'
import { toReply } from '../entities/reply.ts'
import { preconditionFailed } from './errors.ts'

/** A strong tag, in its quotes. */
export function entityTag(entity: Entity, row: Row): string {
  const hash = createHash('sha256')
    .update(JSON.stringify(toReply(entity, row)))
    .digest('hex')
  return `"${hash.slice(0, 32)}"`
}

/**
 * Holds a row against the request's `If-Match`.
 * @param row  as it is now, locked by the writing transaction; null when there is none
 * @throws {Refused} 412 when it is another than the client has seen
 */
export function requireMatch(ctx: RouterContext, entity: Entity, row: Row | null): void {
  const wanted = ctx.get('If-Match').trim()
  if (wanted === '') return
  const tag = row && entityTag(entity, row)
  if (tag === null || (wanted !== '*' && !namedIn(wanted).includes(tag))) throw preconditionFailed(wanted)
}

/** Whether the client has what it asks for: `If-None-Match`, which compares weakly. */
export function isKnown(ctx: RouterContext, tag: string): boolean {
  const known = ctx.get('If-None-Match').trim()
  return known === '*' || namedIn(known).includes(tag)
}

/** A weak tag never matches strongly; the ones here are strong, so its mark is only in the way where weakly is enough. */
function namedIn(list: string): string[] {
  return list.split(',').map((tag) => tag.trim())
}
