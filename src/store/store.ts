// Entities in and out of the datastore. Reads for caches carry a stamp; writes answer with their position.
import type { Row } from '../base/json.ts'
import type { Stamp, Stamped } from '../base/stamp.ts'
import type { RegisteredLife } from '../database/database.ts'
import type { Entity, Lookup } from '../entities/define.ts'

/** Equality on columns; null asks for unset. Values of ids are checked by the caller. */
export type Filter = { readonly [column: string]: string | number | boolean | null }

export interface PageRequest {
  /** Rows a page at the most. */
  readonly size: number
  /** From 1. */
  readonly page: number
}

/** A part of a table that is read bit by bit. */
export interface KeyPage {
  /** What the images are to have, `id` among them. */
  readonly columns: readonly string[]
  /** The id that the last page ended with; null for the first one. */
  readonly after: string | null
  /** Rows at the most. Fewer are the last ones. */
  readonly size: number
}

export interface Listing {
  readonly rows: readonly Row[]
  /** Rows that match, over all pages. */
  readonly total: number
}

/** What a write did. `row` is the row's image after it, or before it for a removal. */
export interface Written {
  readonly row: Row
  readonly operation: 'create' | 'update' | 'delete'
  /** The newest event of the writing transaction. */
  readonly stamp: Stamp
  /** The nodes that must know of it, as of the commit. */
  readonly nodes: readonly RegisteredLife[]
}

/** What the data plane needs: rows with the head of the log from the same snapshot. */
export interface StampedReader {
  /**
   * The rows under a lookup key, in a stable order.
   * @param source  `replica` may lag (its stamp says so) and is the primary where no replica is configured
   * @throws {DatastoreAway} when the datastore cannot be asked; {DatastoreError} when it refused
   */
  find(
    entity: Entity,
    lookup: Lookup,
    values: readonly (string | null)[],
    source: 'primary' | 'replica',
  ): Promise<Stamped<readonly Row[]>>
  /**
   * The rows under any of several keys of one lookup, all from one snapshot of the primary, in the order of `find`.
   * @param keys  as `values` of `find`, each once; a few hundred at the most: every one is a condition to plan
   */
  findMany(
    entity: Entity,
    lookup: Lookup,
    keys: readonly (readonly (string | null)[])[],
  ): Promise<Stamped<readonly Row[]>>
  /**
   * All rows of an entity, in no order, from one snapshot of the primary, bit by bit: no caller's thread stands still over
   * a big table. What was taken before it fails is worth nothing.
   * @param take  called with some of them at a time
   * @returns     how many there were
   */
  scan(entity: Entity, take: (rows: readonly Row[]) => void): Promise<Stamped<number>>
  /** Some columns of some rows, by id, from the primary. Each page is of a snapshot of its own. */
  page(entity: Entity, page: KeyPage): Promise<Stamped<readonly Row[]>>
}

/**
 * What the Admin API needs. `actor` is recorded in the events.
 * All throw {DatastoreAway} or {DatastoreError}; writes also {OutcomeUnknown} when the answer to the commit was
 * lost, {AlreadyExists} and {DoesNotExist} for violated constraints, naming attribute and value.
 */
export interface Store extends StampedReader {
  read(entity: Entity, where: Filter): Promise<Row | null>
  /** Ordered by creation, then id, so that pages neither repeat nor miss rows that stay. */
  list(entity: Entity, where: Filter, page: PageRequest): Promise<Listing>
  count(entity: Entity): Promise<number>
  /** Distinct values of one column, sorted. */
  distinct(entity: Entity, column: string): Promise<readonly string[]>
  /** Columns that `row` leaves out take the table's defaults. */
  insert(entity: Entity, row: Row, actor: string | null): Promise<Written>
  /**
   * Locks the one row that matches, lets `revise` say what it becomes (all columns but `id` and `created_at`
   * are replaced), and writes it. Null when no row matches. What `revise` throws undoes all.
   */
  update(
    entity: Entity,
    where: Filter,
    revise: (current: Row) => Row,
    actor: string | null,
  ): Promise<Written | null>
  /**
   * Locks the one row that matches, lets `agree` look at it, and deletes it. Null when no row matches. What `agree` throws
   * undoes all.
   */
  remove(
    entity: Entity,
    where: Filter,
    agree: (current: Row) => void,
    actor: string | null,
  ): Promise<Written | null>
  /**
   * Deletes the one row of `from` that matches and is not over, and inserts what `make` makes of it into `to`, in one
   * transaction: of several who ask for the same row at once one gets it. Null when no row matches. What `make` throws
   * undoes all.
   */
  exchange(
    from: Entity,
    where: Filter,
    to: Entity,
    make: (taken: Row) => Row,
    actor: string | null,
  ): Promise<Written | null>
}

/** All rows of an entity, as `scan` reads them. */
export async function readAll(store: StampedReader, entity: Entity): Promise<Stamped<readonly Row[]>> {
  const all: Row[] = []
  const { stamp } = await store.scan(entity, (rows) => all.push(...rows))
  return { value: all, stamp }
}
