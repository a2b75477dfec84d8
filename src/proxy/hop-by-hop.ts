// Header fields that concern one connection alone and end at the gateway (RFC 9110, 7.6.1): those that a message names
// besides the fixed ones, which field-names.ts knows.
import type { Field } from './field.ts'
import { kinds } from './field-names.ts'

/**
 * The names, in lower case, that the `Connection` fields of one message give; undefined: none but `close` and
 * `keep-alive`.
 */
export function namedByConnection(fields: readonly Field[]): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined
  for (const field of fields) {
    if ((field.kinds & kinds.connection) === 0) continue
    const { value } = field
    // As most say.
    if (value === 'keep-alive' || value === 'close') continue
    for (const token of value.split(',')) {
      const lower = token.trim().toLowerCase()
      if (lower === 'close' || lower === 'keep-alive' || lower === '') continue
      named ??= new Set()
      named.add(lower)
    }
  }
  return named
}
