// A field table as `/plugins/schema/{name}` shows it.
import type { Json, JsonObject } from '../base/json.ts'
import type { Field, Fields } from './define.ts'

/**
 * The table in 0.8's words: `type`, `required`, `default`, `enum`, `regex`, `immutable`, `func`, and `schema` for
 * what is nested, `flexible` where its keys are free. Whatever is code reads `"function"`.
 */
export function describeSchema(fields: Fields): JsonObject {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, describeField(field)]))
}

function describeField(field: Field): JsonObject {
  const { required, enum: words, pattern, immutable, fields, each } = field
  const parts: { [word: string]: Json | undefined } = {
    type: field.type,
    required: required || undefined,
    immutable: immutable || undefined,
    default: typeof field.default === 'function' ? 'function' : field.default,
    enum: words && [...words],
    regex: pattern?.source,
    func: field.check && 'function',
    schema: fields
      ? { fields: describeSchema(fields) }
      : each && { flexible: true, fields: describeSchema(each) },
  }
  const present = Object.entries(parts).filter((part): part is [string, Json] => part[1] !== undefined)
  return Object.fromEntries(present)
}
