// By which keys rows can be found at all. What is not in it has no row, and is answered so without a read: keys that
// clients make up cost the datastore nothing.
//
// The rule: a key is answered "absent" at position p only if no row had it at p, where p is what the thread that answers
// has applied. The other way round nothing is promised: a key that seems to be there is looked up as ever.
import type { Entity, Lookup } from '../entities/define.ts'
import { KeySet } from './key-set.ts'
import { cacheKey, type KeyValues } from './keys.ts'

/** What the agent shares with its workers. */
export interface SharedFilter {
  readonly buffer: SharedArrayBuffer
  /** Prefixes of the lookups whose keys are in it, all of them. */
  readonly families: readonly string[]
}

export class KeyFilter {
  readonly #keys: KeySet
  readonly #families: ReadonlySet<string>

  constructor({ buffer, families }: SharedFilter) {
    this.#keys = KeySet.over(buffer)
    this.#families = new Set(families)
  }

  /** Whether it is certain that no row is found so. */
  isAbsent(lookup: Lookup, values: KeyValues): boolean {
    return (
      this.#families.has(lookup.prefix) && !values.includes(null) && !this.#keys.has(cacheKey(lookup, values))
    )
  }
}

/**
 * The lookups whose keys are kept: of single rows, by what clients may send. By an id a row is looked up because another
 * one named it, and lists are looked up for rows that were found.
 */
export function filteredLookups(entity: Entity): readonly Lookup[] {
  if (entity.logged === false) return []
  return entity.lookups.filter(({ by, many }) => !many && !by.includes('id'))
}
