// What an event means for entries: a pure function, run once on the agent; its operations are carried out there and
// in every worker, each on what it holds itself.
import type { Row } from '../base/json.ts'
import type { Position } from '../base/stamp.ts'
import type { Cache } from '../cache/cache.ts'
import type { Entity, Lookup } from '../entities/define.ts'
import type { Change } from '../event-log/event.ts'
import { isEverywhere, keyOfRow } from './keys.ts'

/** What is cached under a key: the row of a `one` lookup, or the list of a `many` lookup. */
export type Cached = Row | readonly Row[]

/** One step on one key (or prefix), at the position of its event. Structured clone carries it to the workers. */
export type Operation =
  /** What is there now is not known. */
  | { readonly kind: 'drop'; readonly key: string; readonly position: Position }
  /** As `drop`, for every key of the prefix, since the row image can't be read. */
  | { readonly kind: 'drop-all'; readonly prefix: string; readonly position: Position }
  /** The row is the value. */
  | { readonly kind: 'put'; readonly key: string; readonly position: Position; readonly row: Row }
  /** The row is in the list: in place of the one with its id, or new. */
  | { readonly kind: 'include'; readonly key: string; readonly position: Position; readonly row: Row }
  /** No row with this id is in the list. */
  | { readonly kind: 'exclude'; readonly key: string; readonly position: Position; readonly id: string }
  /** As `include` and `exclude`, for every key of the prefix. */
  | { readonly kind: 'include-all'; readonly prefix: string; readonly position: Position; readonly row: Row }
  | {
      readonly kind: 'exclude-all'
      readonly prefix: string
      readonly position: Position
      readonly id: string
    }

/** The steps of one event, in order. */
export function operationsOf(change: Change, position: Position, entity: Entity): readonly Operation[] {
  if (change.schema > (entity.version ?? 1)) {
    return entity.lookups.flatMap((lookup) => distrust(change, position, lookup))
  }
  return entity.lookups.flatMap((lookup) =>
    lookup.many ? patchList(change, position, lookup) : patchOne(change, position, lookup),
  )
}

/** Carries an operation out on one cache. */
export function perform(operation: Operation, cache: Cache<Cached>): void {
  const { position } = operation
  switch (operation.kind) {
    case 'drop':
      cache.drop(operation.key, position)
      break
    case 'drop-all':
      // Takes families along whose name starts alike: a read more for them, and never one too few.
      cache.dropAll(operation.prefix, position)
      break
    case 'put':
      cache.replace(operation.key, () => operation.row, position)
      break
    case 'include':
      cache.replace(operation.key, (rows) => including(listOf(rows), operation.row), position)
      break
    case 'exclude':
      cache.replace(operation.key, (rows) => excluding(listOf(rows), operation.id), position)
      break
    case 'include-all':
      cache.replaceAll(operation.prefix, (rows) => including(listOf(rows), operation.row), position)
      break
    case 'exclude-all':
      cache.replaceAll(operation.prefix, (rows) => excluding(listOf(rows), operation.id), position)
      break
  }
}

/**
 * For row images of a newer schema. Drops their keys, if they still have the columns that make them; otherwise the
 * whole family, since any entry of it may be meant.
 */
function distrust(change: Change, position: Position, lookup: Lookup): Operation[] {
  const images = [change.old, change.new].filter((row) => row !== null)
  if (images.some((row) => lookup.by.some((column) => !Object.hasOwn(row, column)))) {
    return [{ kind: 'drop-all', prefix: lookup.prefix, position }]
  }
  const keys = new Set(images.map((row) => keyOfRow(lookup, row)))
  return [...keys].map((key) => ({ kind: 'drop', key, position }))
}

function patchOne(change: Change, position: Position, lookup: Lookup): Operation[] {
  const before = change.old && keyOfRow(lookup, change.old)
  const after = change.new && keyOfRow(lookup, change.new)
  const operations: Operation[] = []
  if (before !== null && before !== after) operations.push({ kind: 'drop', key: before, position })
  if (after !== null && change.new !== null) {
    // Several rows can lack a value, even where it is unique, so this one need not be the one that is cached.
    const complete = lookup.by.every((column) => change.new?.[column] != null)
    operations.push(
      complete
        ? { kind: 'put', key: after, position, row: change.new }
        : { kind: 'drop', key: after, position },
    )
  }
  return operations
}

/**
 * An event changes an entry once, so where a row comes into one list and leaves all, or the other way round, what is
 * done to the one goes before, or is part of what is done to all.
 */
function patchList(change: Change, position: Position, lookup: Lookup): Operation[] {
  const { old, new: row } = change
  const before = old && keyOfRow(lookup, old)
  const after = row && keyOfRow(lookup, row)
  const wasEverywhere = old !== null && isEverywhere(lookup, old)
  const all = { prefix: `${lookup.prefix}:`, position }
  if (row && isEverywhere(lookup, row)) return [{ kind: 'include-all', ...all, row }]

  const operations: Operation[] = []
  if (old && before !== null && before !== after && !wasEverywhere) {
    operations.push({ kind: 'exclude', key: before, position, id: idOf(old) })
  }
  if (row && after !== null) operations.push({ kind: 'include', key: after, position, row })
  if (wasEverywhere) operations.push({ kind: 'exclude-all', ...all, id: idOf(old) })
  return operations
}

/** A new list: whoever holds the old one sees what it was. */
function including(rows: readonly Row[], row: Row): readonly Row[] {
  return [...excluding(rows, idOf(row)), row].sort(byCreation)
}

/** The very list, where the row is not in it: nothing has changed for whoever holds it. */
function excluding(rows: readonly Row[], id: string): readonly Row[] {
  return rows.some((row) => row.id === id) ? rows.filter((row) => row.id !== id) : rows
}

/** The order in which the store lists rows. */
export function byCreation(a: Row, b: Row): number {
  return Number(a.created_at) - Number(b.created_at) || (idOf(a) < idOf(b) ? -1 : 1)
}

export function idOf(row: Row): string {
  return String(row.id)
}

function listOf(cached: Cached | null): readonly Row[] {
  return Array.isArray(cached) ? cached : []
}
