// Header fields that concern one connection alone and end at the gateway (RFC 9110, 7.6.1).

const always = new Set(['connection', 'proxy-connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade'])

/**
 * Tells which names end here for one message: the fixed ones and those that its `Connection` fields name.
 * @param raw  names and values in turn
 * @returns    a test on lower-case names
 */
export function hopByHop(raw: readonly string[]): (lowerName: string) => boolean {
  let named: Set<string> | undefined
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue
    for (const token of (raw[i + 1] as string).split(',')) {
      const lower = token.trim().toLowerCase()
      if (lower === 'close' || lower === 'keep-alive' || lower === '') continue
      named ??= new Set()
      named.add(lower)
    }
  }
  return (lowerName) => always.has(lowerName) || named?.has(lowerName) === true
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
