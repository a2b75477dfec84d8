// What an entry takes of the heap of V8, estimated by what its value is made of: JSON, as rows are. Held against the heap
// of Node 24 by test/bench/memory.ts, where it is off by less than a tenth.

const wordBytes = 8
/**
 * Of the entry itself, its place in the cache and its key: the objects that hold it, slots of maps of which a part is
 * free, and what a key that was put together keeps of its parts.
 */
const overheadBytes = 120
/** Of one without a value, its place among these. */
const absenceBytes = 48
const objectHeadBytes = 3 * wordBytes
const arrayHeadBytes = 4 * wordBytes
/** An array has its elements elsewhere, if it has any. */
const elementsHeadBytes = 2 * wordBytes
const stringHeadBytes = 2 * wordBytes
/** Beyond 31 bits, and with a fraction. */
const boxedNumberBytes = 2 * wordBytes

export function entryBytes(key: string, value: unknown): number {
  return overheadBytes + stringBytes(key) + (value === null ? absenceBytes : valueBytes(value))
}

function valueBytes(value: unknown): number {
  if (typeof value === 'string') return stringBytes(value)
  if (typeof value === 'number') return (value | 0) === value ? 0 : boxedNumberBytes
  if (typeof value !== 'object' || value === null) return 0
  const parts = Object.values(value)
  let bytes = objectHeadBytes
  if (Array.isArray(value)) bytes = arrayHeadBytes + (parts.length > 0 ? elementsHeadBytes : 0)
  for (const part of parts) bytes += wordBytes + valueBytes(part)
  return bytes
}

/** One byte for a character, or two for each if there is one that is not Latin-1. Of single ones there is one string each. */
function stringBytes(text: string): number {
  if (text.length <= 1) return 0
  const bytes = /[^\0-\xff]/.test(text) ? 2 * text.length : text.length
  return stringHeadBytes + Math.ceil(bytes / wordBytes) * wordBytes
}
