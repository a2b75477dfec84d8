// What the log's events about nodes mean to one of them.
import type { Row } from '../../base/json.ts'
import type { Position } from '../../base/stamp.ts'
import type { LogEvent } from '../../event-log/event.ts'

/** A change of the table `nodes`. */
export interface NodeChange {
  readonly position: Position
  readonly old: Row | null
  readonly new: Row | null
}

/** Those of the events that are about nodes. */
export function nodeChanges(events: readonly LogEvent[]): NodeChange[] {
  return events
    .filter(({ body }) => body.includes('"nodes"'))
    .map(({ position, body }) => ({ ...JSON.parse(body), position }))
    .filter(({ entity }) => entity === 'nodes')
}

/**
 * Whether every node is to prove what it holds: a registration, or the return of one that had been called failed. The
 * image of a registration has no life yet: the life is the position at which the event itself stands
 * (migrations/0003_nodes.ts). All other changes of a row carry the life that they are about, and only a return changes
 * nothing.
 */
export function isJoin({ old, new: row }: Pick<NodeChange, 'old' | 'new'>): boolean {
  if (row === null || row.status !== 'alive') return false
  return row.life === null || (old !== null && old.status === 'alive' && old.life === row.life)
}
