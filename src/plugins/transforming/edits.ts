// What the transformers are told to do with named values, be they headers, parameters or members of JSON: take some
// away, replace those that are there, add those that are not, and append to all; in this order.
import type { Json, JsonObject } from '../../base/json.ts'
import type { Field, Fields, FieldVerdict } from '../../entities/define.ts'
import { isFieldName, isFieldValue } from '../header-field.ts'

/** Named values that can be changed. */
export interface Editable {
  has(name: string): boolean
  /** Replaces all that has the name, or makes it. */
  set(name: string, value: string): void
  append(name: string, value: string): void
  remove(name: string): void
}

export interface Edits {
  readonly remove: readonly string[]
  readonly replace: readonly Pair[]
  readonly add: readonly Pair[]
  readonly append: readonly Pair[]
}

type Pair = readonly [name: string, value: string]

export function edit(values: Editable, { remove, replace, add, append }: Edits): void {
  for (const name of remove) values.remove(name)
  for (const [name, value] of replace) if (values.has(name)) values.set(name, value)
  for (const [name, value] of add) if (!values.has(name)) values.set(name, value)
  for (const [name, value] of append) values.append(name, value)
}

export function isEmpty({ remove, replace, add, append }: Edits): boolean {
  return [remove, replace, add, append].every((list) => list.length === 0)
}

/** What `config` says of one kind of values, e.g. `headers`. */
export function editsOf(config: JsonObject, kind: string): Edits {
  const list = (action: string) => {
    const table = config[action] as JsonObject | undefined | null
    return (table?.[kind] ?? []) as readonly string[]
  }
  return {
    remove: list('remove'),
    replace: list('replace').map(pairOf),
    add: list('add').map(pairOf),
    append: list('append').map(pairOf),
  }
}

/** Each kind's edits, taken from a configuration once for as long as it is the same object. */
export function editsBy<Kind extends string>(...kinds: Kind[]): (config: JsonObject) => Record<Kind, Edits> {
  const known = new WeakMap<JsonObject, Record<Kind, Edits>>()
  return (config) => {
    const edits =
      known.get(config) ??
      (Object.fromEntries(kinds.map((kind) => [kind, editsOf(config, kind)])) as Record<Kind, Edits>)
    known.set(config, edits)
    return edits
  }
}

/** The fields of a configuration: for each action, a list for each of `kinds`. */
export function editFields(kinds: Readonly<Record<string, string>>): Fields {
  const table = (what: string, check: (kind: string) => Field['check']): Field => ({
    type: 'table',
    help: what,
    fields: Object.fromEntries(
      Object.entries(kinds).map(([kind, help]): [string, Field] => {
        const ownCheck = check(kind)
        return [kind, { type: 'array', default: [], help, ...(ownCheck && { check: ownCheck }) }]
      }),
    ),
  })
  return {
    remove: table('names of what is taken away', () => undefined),
    replace: table('name:value of what is replaced where it is there', checkPairs),
    add: table('name:value of what is added where it is not there', checkPairs),
    append: table('name:value of what is added to what is there', checkPairs),
  }
}

/** The value is all that comes after the first colon. */
function pairOf(text: string): Pair {
  const colon = text.indexOf(':')
  return colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)]
}

function checkPairs(kind: string): (value: Json) => FieldVerdict {
  return (list) => {
    const faults = (list as readonly string[]).map((text) => faultOfPair(kind, text))
    const error = faults.find((fault) => fault !== undefined)
    return error === undefined ? undefined : { error }
  }
}

function faultOfPair(kind: string, text: string): string | undefined {
  const [name, value] = pairOf(text)
  if (name === '' || !text.includes(':')) return `${kind}: expected name:value, got '${text}'`
  if (kind !== 'headers') return undefined
  if (!isFieldName(name) || !isFieldValue(value)) return `headers: '${text}' cannot be a header`
  return framing.has(name.toLowerCase())
    ? `headers: ${name} is what the gateway finds out by itself`
    : undefined
}

/** A wrong one would make the next message out of the rest of this one. */
const framing = new Set(['content-length', 'transfer-encoding', 'connection', 'upgrade', 'trailer', 'te'])
