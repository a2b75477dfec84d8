// Input against an entity's field table: the one place where rows come into being. Each attribute goes through
// default, coercion, enum, pattern, nested attributes, required and its own check, in this order; then come
// unknown attributes and the rules over several. All that is wrong is reported at once.
import { isObject, type Json, type JsonObject, type Row } from '../base/json.ts'
import type { Random } from '../base/random.ts'
import { coerce, toTable } from './coerce.ts'
import type { Entity, Field, Fields } from './define.ts'
import { type Faults, Invalid } from './errors.ts'
import { notUuid } from './uuid.ts'

/** An entity, or what else has attributes and a rule over them. */
export type Shape = Pick<Entity, 'fields' | 'check' | 'atLeastOneOf'>

/**
 * What the input is for.
 * create   a new row: what is not given takes its default
 * patch    attributes of `current` to change: a table with fixed attributes merges, lists and maps are replaced
 * replace  all of a row: as create, but `id`, and `created_at` where the entity asks for it, must be given
 */
export type Task =
  | { readonly mode: 'create' }
  | { readonly mode: 'patch'; readonly current: Row }
  | { readonly mode: 'replace'; readonly current?: Row }

/**
 * The row that `input` makes: every column, null where unset. `id` is there if it was given or stood before,
 * `created_at` only if it stood before. An attribute that is null or, being text, blank counts as not given:
 * it takes its default, or is unset, or is reported as required.
 *
 * @param input  parsed JSON, or a form as nested text; not changed
 * @throws {Invalid} with all that is wrong, by dotted path
 */
export function validate(shape: Shape, input: JsonObject, task: Task, random: Random): Row {
  const current = 'current' in task ? task.current : undefined
  const given = trimmed(input)
  const values = task.mode === 'patch' ? merged(shape.fields, task.current, given) : given
  const scope: Scope = { path: '', values, random, faults: new Map() }

  const row: { [column: string]: Json } = {}
  for (const [name, field] of Object.entries(shape.fields)) {
    const untouched = task.mode === 'patch' && !Object.hasOwn(given, name)
    const needed = field.required === true && (!field.readOnly || task.mode === 'replace')
    const before = own(current, name) ?? null
    const after = untouched ? before : (checkField(name, field, needed, scope) ?? null)
    const fixed = field.immutable && current && !isFaulty(scope, name)
    if (fixed && after !== before) report(scope, name, `${name} cannot be updated`)
    const lost = field.lasting && before !== null && after === null && !isFaulty(scope, name)
    if (lost) report(scope, name, `${name} is required`)
    if (!field.readOnly) row[name] = after
    else if (current) row[name] = before
    else if (name === 'id' && after !== null) row[name] = after
  }
  reportUnknown(shape.fields, given, scope)
  reportRule(shape, row, task.mode === 'patch' ? given : row, scope)

  if (scope.faults.size > 0) throw new Invalid(asFaults(scope.faults))
  return row
}

/** Where in the input we are, and what we found. */
interface Scope {
  /** Ends with a dot, or is empty at the top. */
  readonly path: string
  /** The attributes beside each other here; defaults may draw on them. */
  readonly values: JsonObject
  readonly random: Random
  readonly faults: Map<string, string[]>
}

function checkField(name: string, field: Field, needed: boolean, scope: Scope): Json | undefined {
  const { values, random } = scope
  let value: Json | undefined = given(field, own(values, name))
  value ??= typeof field.default === 'function' ? field.default({ values, random }) : field.default
  value ??= hasInnerDefaults(field) ? {} : undefined
  if (value == null) {
    if (needed) report(scope, name, `${name} is required`)
    return undefined
  }
  const typed = coerce(field.type, value)
  if (typed === undefined) {
    report(scope, name, field.type === 'id' ? notUuid(value) : `${name} is not a ${field.type}`)
    return undefined
  }
  reportNotAllowed(name, field, typed, scope)
  const whole = checkNested(name, field, typed, scope)
  return isFaulty(scope, name) ? undefined : checkOwn(name, field, whole, scope)
}

/** Blank text is what a form sends for "nothing": the attribute is not given then. */
function given(field: Field, value: Json | undefined): Json | undefined {
  const text = field.type === 'string' || field.type === 'url' || field.type === 'id'
  return value === null || (text && value === '') ? undefined : value
}

/** A table that was not given is looked into all the same: its attributes may have defaults or be required. */
function hasInnerDefaults({ fields }: Field): boolean {
  return Object.values(fields ?? {}).some((inner) => inner.default !== undefined || inner.required === true)
}

function reportNotAllowed(name: string, field: Field, value: Json, scope: Scope): void {
  for (const text of field.enum ? [value].flat() : []) {
    if (field.enum?.includes(text as string)) continue
    const allowed = field.enum?.map((word) => `"${word}"`).join(', ')
    report(scope, name, `"${text}" is not allowed. Allowed values are: ${allowed}`)
  }
  if (field.pattern && !new RegExp(field.pattern).test(String(value))) {
    report(scope, name, `${name} has an invalid value`)
  }
}

function checkNested(name: string, field: Field, value: Json, scope: Scope): Json {
  if (!isObject(value)) return value
  const path = `${scope.path}${name}.`
  if (field.fields) return checkTable(field.fields, value, { ...scope, path })
  if (!field.each) return value
  const each = field.each
  const entries = Object.entries(value).map(([key, entry]): [string, Json] => {
    const table = toTable(entry)
    if (table === undefined) report({ ...scope, path }, key, `${key} is not a table`)
    return [key, checkTable(each, table ?? {}, { ...scope, path: `${path}${key}.` })]
  })
  return Object.fromEntries(entries)
}

function checkTable(fields: Fields, input: JsonObject, outer: Scope): JsonObject {
  const scope = { ...outer, values: trimmed(input) }
  const entries: [string, Json][] = []
  for (const [name, field] of Object.entries(fields)) {
    const value = checkField(name, field, field.required === true, scope)
    if (value != null) entries.push([name, value])
  }
  reportUnknown(fields, input, scope)
  return Object.fromEntries(entries)
}

function checkOwn(name: string, field: Field, value: Json, scope: Scope): Json | undefined {
  const verdict = field.check?.(value, scope.values)
  if (verdict === undefined) return value
  if ('value' in verdict) return verdict.value
  report(scope, name, verdict.error)
  return undefined
}

function reportUnknown(fields: Fields, input: JsonObject, scope: Scope): void {
  for (const name of Object.keys(input)) {
    if (!Object.hasOwn(fields, name)) report(scope, name, `${name} is an unknown field`)
  }
}

/** A patch is told of its own attributes only, so that what was blanked is named and not what was absent before. */
function reportRule(shape: Shape, row: Row, named: JsonObject, scope: Scope): void {
  const broken = Object.entries({ ...noneOf(shape, row), ...shape.check?.(row) })
  if (broken.some(([name]) => isFaulty(scope, name))) return
  const told = broken.filter(([name]) => Object.hasOwn(named, name))
  for (const [name, text] of told.length > 0 ? told : broken) report(scope, name, text)
}

function noneOf({ atLeastOneOf = [] }: Shape, row: Row): Readonly<Record<string, string>> {
  if (atLeastOneOf.length === 0 || atLeastOneOf.some((name) => row[name])) return {}
  const text = `At least ${atLeastOneOf.map((name) => `a '${name}'`).join(' or ')} must be specified`
  return Object.fromEntries(atLeastOneOf.map((name) => [name, text]))
}

function report(scope: Scope, name: string, text: string): void {
  const path = scope.path + name
  const texts = scope.faults.get(path) ?? []
  scope.faults.set(path, texts.includes(text) ? texts : [...texts, text])
}

function isFaulty(scope: Scope, name: string): boolean {
  const path = scope.path + name
  return scope.faults.keys().some((faulty) => faulty === path || faulty.startsWith(`${path}.`))
}

/** Made entry by entry, not by assignment: an attribute may be called `__proto__`. */
function asFaults(faults: ReadonlyMap<string, string[]>): Faults {
  const entries = faults.entries().map(([path, texts]) => [path, texts.length === 1 ? texts[0] : texts])
  return Object.fromEntries(entries)
}

/** `given` over `current`, key by key where the attributes of a table are fixed. */
function merged(fields: Fields, current: Row, given: JsonObject): JsonObject {
  const kept = Object.keys(fields)
    .filter((name) => !Object.hasOwn(given, name) && Object.hasOwn(current, name))
    .map((name): [string, Json] => [name, current[name] as Json])
  const changed = Object.entries(given).map(([name, value]): [string, Json] => {
    const inner = own(fields, name)?.fields
    const [before, after] = [own(current, name), toTable(value)]
    return [name, inner && isObject(before) && after ? merged(inner, before, after) : value]
  })
  return Object.fromEntries([...kept, ...changed])
}

function trimmed(input: JsonObject): JsonObject {
  const entries = Object.entries(input)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === 'string' ? value.trim() : value]),
  )
}

/** What `object` itself holds under `name`, never what it inherits. */
function own<T>(object: { readonly [name: string]: T } | undefined, name: string): T | undefined {
  return object && Object.hasOwn(object, name) ? object[name] : undefined
}
