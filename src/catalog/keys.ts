// The spelling of cache keys: contract for whoever reads /cache, and the join between events and entries.
import QuickLRU from 'quick-lru'
import type { Row } from '../base/json.ts'
import type { Lookup } from '../entities/define.ts'

export type KeyValues = readonly (string | null)[]

/** The key of `values`, in the order of `lookup.by`; nulls at the end are left out: `plugins:<api>`. */
export function cacheKey(lookup: Lookup, values: KeyValues): string {
  if (values.length === 1) return values[0] == null ? lookup.prefix : `${lookup.prefix}:${values[0]}`
  let last = values.length
  while (last > 0 && values[last - 1] == null) last--
  let key = lookup.prefix
  for (let i = 0; i < last; i++) key += `:${spellPart(values[i] as string | null)}`
  return key
}

/**
 * Keys that were made lately, by their only value. A text that was put together anew has to be hashed anew by whoever
 * looks it up, which takes longer than all the rest.
 */
const made = new WeakMap<Lookup, QuickLRU<string, string>>()
/** For each lookup, and as many again that are older: some 400 kB. Clients choose some of the values. */
const madeMax = 1000

/** As `cacheKey`; undefined for values that nothing can be found by. */
export function findableKey(lookup: Lookup, values: KeyValues): string | undefined {
  const value = onlyOf(values)
  const known = value === undefined ? undefined : made.get(lookup)?.get(value)
  if (known !== undefined) return known
  if (!canExist(values)) return undefined
  const key = cacheKey(lookup, values)
  if (value !== undefined) remember(lookup, value, key)
  return key
}

/** The first of the values, when no other is given. */
function onlyOf(values: KeyValues): string | undefined {
  for (let i = 1; i < values.length; i++) if (values[i] !== null) return undefined
  return values[0] ?? undefined
}

function remember(lookup: Lookup, value: string, key: string): void {
  // Taken out of the key, so that it does not keep the head that it stood in.
  const own = key.slice(lookup.prefix.length + 1)
  if (own !== value) return
  const keys = made.get(lookup) ?? new QuickLRU<string, string>({ maxSize: madeMax })
  made.set(lookup, keys)
  keys.set(own, key)
}

/**
 * The values that `key` spells, in the order of `lookup.by`: the inverse of `cacheKey`. Undefined for what `cacheKey`
 * never makes of this lookup.
 */
export function parseKey(lookup: Lookup, key: string): KeyValues | undefined {
  const { prefix, by } = lookup
  const text = key.startsWith(`${prefix}:`) ? key.slice(prefix.length + 1) : undefined
  const parts = by.length === 1 ? [text ?? null] : (text?.split(':').map(parsePart) ?? [])
  const values = by.map((_, i) => parts[i] ?? null)
  return cacheKey(lookup, values) === key ? values : undefined
}

/** All of a key that may be shown: what follows it can be a secret. It is the prefix of the key's lookup. */
export function familyOf(key: string): string {
  return key.split(':', 1)[0] as string
}

/** The key under which `row` is found by `lookup`. */
export function keyOfRow(lookup: Lookup, row: Row): string {
  return cacheKey(
    lookup,
    lookup.by.map((column) => (row[column] == null ? null : String(row[column]))),
  )
}

/** Whether `row` is in every list of `lookup`. */
export function isEverywhere({ everywhere = false, by }: Lookup, row: Row): boolean {
  return everywhere && by.every((column) => row[column] == null)
}

/** Whether `row` is what is cached under `key`, or in the list that is. */
export function isUnder(key: string, lookup: Lookup, row: Row): boolean {
  return keyOfRow(lookup, row) === key || isEverywhere(lookup, row)
}

/**
 * Whether text in Postgres can equal these values at all: it holds neither U+0000 nor half of a surrogate pair. The
 * driver would refuse the one and silently send U+FFFD for the other, and so find a row under a key not its own.
 */
export function canExist(values: KeyValues): boolean {
  for (const value of values)
    if (value !== null && (!value.isWellFormed() || value.includes('\0'))) return false
  return true
}

/** Keeps two lists of values from sharing a key; ids and names are spelled as they are. */
function spellPart(value: string | null): string {
  if (value === null) return '%'
  return /[%:]/.test(value) ? value.replaceAll('%', '%25').replaceAll(':', '%3A') : value
}

function parsePart(part: string): string | null {
  return part === '%' ? null : part.replaceAll('%3A', ':').replaceAll('%25', '%')
}
