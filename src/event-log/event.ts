// One row of the log, and the change of an entity that it records.
import type { Row } from '../base/json.ts'
import type { Position } from '../base/stamp.ts'

/** An event as stored: `body` is kept byte for byte, since the digest covers it. */
export interface LogEvent {
  readonly position: Position
  /** Position of the first event of the same transaction; transactions are never split. */
  readonly first: Position
  /** SHA-256(digest before ‖ position as 8 bytes, big-endian ‖ body in UTF-8), 64 lower-case hex digits. */
  readonly digest: string
  /** JSON, see `Change`. */
  readonly body: string
}

/**
 * What `body` says. `reset` tells every node to forget all and load anew (after migrations and restores).
 * The list only ever grows: rows written by newer code are read by older nodes.
 */
export type Operation = 'genesis' | 'create' | 'update' | 'delete' | 'reset'

export interface Change {
  /** The table, e.g. `apis`. */
  readonly entity: string
  readonly operation: Operation
  /** Row image before, null for create. */
  readonly old: Row | null
  /** Row image after, null for delete. */
  readonly new: Row | null
  /** Who did it, as far as the writer said. */
  readonly actor: string | null
  /** Milliseconds since 1970 by the database's clock, when the event was appended. */
  readonly at: number
  /** Version of the row images; see `Entity.version`. */
  readonly schema: number
}

/** Reads an event's body. Bodies come from triggers alone, so a malformed one is our own mistake and throws. */
export function parseChange(event: LogEvent): Change {
  return JSON.parse(event.body) as Change
}

/** Whether the event tells every node to load anew. Few do, so bodies are not parsed for it in vain. */
export function isReset(event: LogEvent): boolean {
  return event.body.includes('"reset"') && parseChange(event).operation === 'reset'
}

/** `events` cut into transactions, in order. */
export function transactionsOf(events: readonly LogEvent[]): readonly LogEvent[][] {
  const transactions: LogEvent[][] = []
  for (const event of events) {
    const current = transactions.at(-1)
    if (current?.[0]?.first === event.first) current.push(event)
    else transactions.push([event])
  }
  return transactions
}
