// From what clients send to what a field holds: forms know only text, and lists come as `a,b`.
import { isObject, type Json } from '../base/json.ts'
import type { FieldType } from './define.ts'
import { isUuid } from './uuid.ts'

/**
 * The value of `type` that `value` stands for, or undefined when it stands for none. Strings come trimmed.
 *
 * number, timestamp  also from numeric text; never NaN nor infinite, which JSON can't carry
 * boolean            also from `true` and `false` in any case
 * array              also from text, split at commas, and from `{}`, which 0.8 wrote for an empty list
 * table              also from `[]`, which several languages write for an empty object
 */
export function coerce(type: FieldType, value: Json): Json | undefined {
  return coercions[type](value)
}

/** By type, each of those that there are. */
export const coercions: { readonly [Type in FieldType]: (value: Json) => Json | undefined } = {
  string: (value) => (typeof value === 'string' ? value : undefined),
  number: toNumber,
  timestamp: toNumber,
  boolean: toBoolean,
  array: toList,
  table: (value) => toTable(value),
  url: (value) => (isUrl(value) ? value : undefined),
  id: (value) => (isUuid(value) ? value : undefined),
}

/** `value` as an object, or undefined when it is none. */
export function toTable(value: Json | undefined): { [key: string]: Json } | undefined {
  if (Array.isArray(value) && value.length === 0) return {}
  return isObject(value) ? value : undefined
}

function toNumber(value: Json): number | undefined {
  const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i
  const number = typeof value === 'string' && decimal.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

function toBoolean(value: Json): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'string' || !/^(?:true|false)$/i.test(value)) return undefined
  return value.toLowerCase() === 'true'
}

/** Lists are of text throughout; numbers and booleans in them are written out. */
function toList(value: Json): string[] | undefined {
  if (typeof value === 'string') return value === '' ? [] : value.split(',').map((element) => element.trim())
  if (isObject(value)) return Object.keys(value).length === 0 ? [] : undefined
  if (!Array.isArray(value)) return undefined
  const plain = value.every((element) => element !== null && typeof element !== 'object')
  return plain ? value.map(String) : undefined
}

/** With a scheme and a host. The URL parser alone would take `http:x` and skip line breaks. */
function isUrl(value: Json): boolean {
  if (typeof value !== 'string' || /\s/.test(value)) return false
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#]/i.test(value) && URL.canParse(value)
}
