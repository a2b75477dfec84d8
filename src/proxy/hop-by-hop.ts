// Header fields that concern one connection alone and end at the gateway (RFC 9110, 7.6.1): those that a message names
// besides the fixed ones, which field-names.ts knows.

/**
 * The names, in lower case, that the `Connection` fields of one message give; undefined: none but `close` and
 * `keep-alive`.
 * @param raw  names and values in turn
 */
export function namedByConnection(raw: readonly string[]): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue
    const value = raw[i + 1] as string
    if (value === 'close' || value === 'keep-alive') continue
    for (const token of value.split(',')) {
      const lower = token.trim().toLowerCase()
      if (lower === 'close' || lower === 'keep-alive' || lower === '') continue
      named ??= new Set()
      named.add(lower)
    }
  }
  return named
}

/** The fields of `raw` whose lower-case name does not satisfy `drop`, in order. */
export function without(raw: readonly string[], drop: (lowerName: string) => boolean): string[] {
  const kept: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    if (!drop(name.toLowerCase())) kept.push(name, raw[i + 1] as string)
  }
  return kept
}
