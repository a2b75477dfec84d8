// The log of all changes, as the Admin API asks the node for it.
import type { Row } from '../base/json.ts'
import type { Position, Stamp } from '../base/stamp.ts'

/** One change of a row, or an event about the log itself: `genesis`, its beginning, and `reset`. */
export interface LoggedEvent {
  readonly position: Position
  /** The position of its transaction's first event. */
  readonly first: Position
  /** Of the log up to here: one value names a whole history. */
  readonly digest: string
  /** Milliseconds since 1970 by the datastore's clock. */
  readonly at: number
  /** The table, e.g. `apis`; `log` for events about the log. */
  readonly entity: string
  readonly operation: string
  /** Who did it, as far as the writer said. */
  readonly actor?: string | null
  /** Version of the row images. */
  readonly schema: number
  /** The row before and after, secrets and all. */
  readonly old?: Row | null
  readonly new?: Row | null
}

/** Which events; all where nothing is said. */
export interface EventFilter {
  readonly entity?: string | undefined
  readonly operation?: string | undefined
}

export interface LogRequest extends EventFilter {
  /** Only events after this position; -1 for all that are kept. */
  readonly after: Position
  /** Events at the most; 0 asks for the ends of the log alone. */
  readonly size: number
}

export interface LogPage {
  /** In order. There may be more than these although they are fewer than asked for: see `until`. */
  readonly events: readonly LoggedEvent[]
  /** Up to where the log was searched: the next page begins after it. */
  readonly until: Position
  /** The newest event. */
  readonly head: Stamp
  /** The oldest event that pruning has left. */
  readonly firstKept: Position
  /** The digest at `after`; null where no event is kept. */
  readonly digest: string | null
}

export interface LogWatcher {
  /** Some events that were applied, in order. Must not throw. */
  apply(events: readonly LoggedEvent[]): void
  /** What was applied was not told: it is to be read. The history may be another one. Must not throw. */
  lapse(): void
}

/** The node's own fits. */
export interface LogView {
  /** One page, as the datastore has it. @throws {DatastoreAway} or {DatastoreError} */
  read(request: LogRequest): Promise<LogPage>
  /** Up to where this node has applied the log. */
  applied(): Stamp
  /** Tells `watcher` what is applied from now on, until `end`. */
  watch(watcher: LogWatcher): { end(): void }
}
