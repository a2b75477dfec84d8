// Names of entries, with whatever a client calls itself in them (RFC 4514).

/**
 * The name of the entry under `base` whose `attribute` is `value`. Whatever `value` has in it stays within that one
 * value: what has a meaning in names is escaped by its number, controls and NUL with it.
 */
export function nameWithin(base: string, attribute: string, value: string): string {
  return `${attribute}=${escapeValue(value)},${base}`
}

function escapeValue(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not pass
  return value.replace(/[\x00-\x1f\x7f"+,;<=>\\]|^[ #]|[ ]$/g, escapeChar)
}

function escapeChar(char: string): string {
  return `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`
}
