// The spelling of cache keys: contract for whoever reads /cache, and the join between events and entries.
import type { Row } from '../base/json.ts'
import type { Lookup } from '../entities/define.ts'

/** The key of `values`, in the order of `lookup.by`; nulls at the end are left out: `plugins:<api>`. */
export function cacheKey(lookup: Lookup, values: readonly (string | null)[]): string {
  let last = values.length
  while (last > 0 && values[last - 1] == null) last--
  return [lookup.prefix, ...values.slice(0, last).map((value) => value ?? '')].join(':')
}

/** The key under which `row` is found by `lookup`. */
export function keyOfRow(lookup: Lookup, row: Row): string {
  return cacheKey(
    lookup,
    lookup.by.map((column) => (row[column] == null ? null : String(row[column]))),
  )
}
