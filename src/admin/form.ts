// Parameters as text: query strings and urlencoded bodies, and the names by which forms nest.
import type { Json } from '../base/json.ts'
import { badRequest } from './errors.ts'

/** Name and value as sent; a name without `=` has the value true, which no attribute of text accepts. */
export type Parameter = readonly [name: string, value: Json]

/** As in 0.8, where further ones were dropped without a word; here they are refused. */
export const formFieldsMax = 100

/** Reads `a=1&b=x%20y&c`. What is not a percent-encoded byte stays as it is. */
export function parseForm(text: string): Parameter[] {
  const pairs = text.split('&').filter((pair) => pair !== '')
  refuseTooMany(pairs.length)
  return pairs.map((pair) => {
    const end = pair.indexOf('=')
    return end < 0 ? [decode(pair), true] : [decode(pair.slice(0, end)), decode(pair.slice(end + 1))]
  })
}

export function refuseTooMany(fields: number): void {
  if (fields > formFieldsMax) {
    throw badRequest(`Too many form fields: ${fields}, at most ${formFieldsMax}; send JSON instead`)
  }
}

function decode(text: string): string {
  return text.replaceAll('+', ' ').replace(/(?:%[0-9a-f]{2})+/gi, (bytes) => {
    try {
      return decodeURIComponent(bytes)
    } catch {
      throw badRequest(`Percent-encoding is not UTF-8: ${bytes}`)
    }
  })
}

/** One step from the outside in: `config`, or the `1` of `key_names[1]`, which is a place in a list. */
export interface Step {
  readonly name: string
  readonly place: boolean
}

/** `config.key_names[1]` as the steps config, key_names, 1. Brackets may hold names too: `a[b]` is `a.b`. */
export function parseName(name: string): Step[] {
  return name.split('.').flatMap((part) => {
    const match = /^([^[\]]+)((?:\[[^[\]]+\])+)$/.exec(part)
    if (!match) return [{ name: part, place: false }]
    const inner = (match[2] as string).slice(1, -1).split('][')
    const steps = inner.map((step) => ({ name: step, place: /^\d+$/.test(step) }))
    return [{ name: match[1] as string, place: false }, ...steps]
  })
}
