// What the data plane may ask, and under which rules it is answered.
import type { Row } from '../base/json.ts'
import type { Position } from '../base/stamp.ts'
import type { Entity, Lookup } from '../entities/define.ts'

/**
 * The catalog as one request sees it. All that it answered can be checked, in one step, to hold together still:
 * a request that waited for one answer while another changed is resolved again from the start.
 */
export interface View {
  /** The one row under the key, or null when it is known that there is none. Synchronous when it is in memory. */
  one(entity: Entity, lookup: Lookup, ...values: (string | null)[]): Row | null | Promise<Row | null>
  /** The list of rows under the key, for lookups with `many`. The same list object as long as it is unchanged. */
  many(entity: Entity, lookup: Lookup, ...values: (string | null)[]): readonly Row[] | Promise<readonly Row[]>
  /**
   * Whether everything that this view answered is what it would answer now. Brings the catalog up to the newest
   * change first; costs nothing if nothing changed since the view was opened. Says nothing of projections: whoever
   * matched a row by one must match it again. Never throws.
   */
  holds(): boolean
  /** The position when the view was opened. */
  readonly position: Position
}

/**
 * A lookup rejects with {Unknown} when it can't be told what the datastore holds: never taken for absence.
 */
export interface Catalog {
  /** The newest change that this thread has applied; brings the catalog up to it first. @throws {Unknown} as `view` */
  position(): Position
  /**
   * Resolves once this thread has applied `position`, to which the log is hurried along. Also as soon as `signal`
   * aborts, and when no changes are heard any more: a view tells which. The caller bounds how many wait.
   * @throws {Unknown} as `view`
   */
  reach(position: Position, signal: AbortSignal): Promise<void>
  /**
   * Opens a view on what is known now, after bringing the catalog up to the newest change.
   * @throws {Unknown} when this thread hears no changes (yet, or any more), so projections can't be trusted either
   */
  view(): View
}

/**
 * A structure kept in step with a whole table, e.g. the router with `apis`. Node joins it to the catalog; it is
 * loaded before anything is served and patched row by row after that, in the tick in which the event applies.
 */
export interface Projection {
  /** Begins to make what is to be in the place of everything. What is served does not change by it. */
  begin(): Replacement
  /** One row changed: `old` is null for a new one, `next` for one that is gone. */
  patch(old: Row | null, next: Row | null): void
}

/** Of a projection, all that it is to hold next, made row by row beside what it serves. */
export interface Replacement {
  /** Returns the row as it will be held: an equal one that is held already keeps its identity. */
  add(row: Row): Row
  /** It takes the place of everything, in one step. Called once at the most. */
  finish(): void
}

export type { Entity, Lookup }
