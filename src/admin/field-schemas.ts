// Field tables as JSON Schema: what a row looks like, and what may be sent to make or change one.
import type { Json, JsonObject } from '../base/json.ts'
import type { Field, Fields, FieldType } from '../entities/define.ts'
import { uuidPattern } from '../entities/uuid.ts'
import type { Shape } from '../entities/validate.ts'
import type { Schema } from './route.ts'

/** What a body is for: a whole row, or some attributes of one. */
export type Purpose = 'create' | 'change'

const types: { readonly [Type in FieldType]: Schema } = {
  string: { type: 'string' },
  number: { type: 'number' },
  boolean: { type: 'boolean' },
  array: { type: 'array', items: { type: 'string' } },
  table: { type: 'object' },
  url: { type: 'string', format: 'uri' },
  id: { type: 'string', pattern: uuidPattern.source },
  timestamp: { type: 'integer' },
}

/** The values of one attribute, whatever else is said of it. */
export function valueSchema({ type, enum: words, pattern }: Field): Schema {
  const rules = { ...(words && { enum: [...words] }), ...(pattern && { pattern: pattern.source }) }
  return type === 'array'
    ? { ...types.array, items: { ...types.string, ...rules } }
    : { ...types[type], ...rules }
}

/**
 * A row as replies show it. Of what is inside tables nothing is promised: it may be older than what describes it.
 * @param expires  the attribute that tells when a row is over: not all of them ever are
 */
export function rowSchema(fields: Fields, expires?: string): Schema {
  const isAlwaysThere = ({ readOnly, required, default: value }: Field, name: string) =>
    name !== expires &&
    (readOnly === true || required === true || (value !== undefined && typeof value !== 'function'))
  return tableSchema(fields, shownSchema, isAlwaysThere)
}

function shownSchema(field: Field): Schema {
  const inside = (fields: Fields) => tableSchema(fields, shownSchema, () => false)
  return {
    ...valueSchema(field),
    ...(field.fields && inside(field.fields)),
    ...(field.each && { additionalProperties: inside(field.each) }),
    ...notes(field),
  }
}

/**
 * What may be sent as JSON. Text that stands for a number is taken, too, and the like; clients need not know.
 * @param decided  attributes that the path decides: they need not be sent
 */
export function bodySchema(shape: Shape, purpose: Purpose, decided: readonly string[] = []): Schema {
  const { fields, atLeastOneOf = [] } = shape
  const table = inputTable(fields, purpose, decided)
  if (purpose === 'change') return { ...table, minProperties: 1 }
  if (atLeastOneOf.length === 0) return table
  return { ...table, anyOf: atLeastOneOf.map((name) => ({ required: [name] })) }
}

function inputTable(fields: Fields, purpose: Purpose, decided: readonly string[] = []): Schema {
  const isAsked = (field: Field, name: string) =>
    purpose === 'create' && isNeeded(field) && !decided.includes(name)
  const schema = tableSchema(fields, (field) => inputSchema(field, purpose), isAsked)
  return { ...schema, additionalProperties: false }
}

/** Whether nothing stands in for it. A table is needed for what is needed in it, or where defaults alone don't pass. */
function isNeeded({ required, readOnly, default: value, fields, example }: Field): boolean {
  if (readOnly) return false
  if (fields) return example !== undefined || Object.values(fields).some(isNeeded)
  return required === true && value === undefined
}

function inputSchema(field: Field, purpose: Purpose): Schema {
  const { fields, each, example } = field
  const schema: Schema = {
    ...valueSchema(field),
    ...(fields && inputTable(fields, purpose)),
    ...(each && { additionalProperties: inputTable(each, 'create') }),
    ...notes(field),
    ...(example !== undefined && { examples: [example] }),
  }
  return isNeeded(field) ? notBlank(schema) : orNull(schema)
}

/** Blank text counts as not given. */
function notBlank(schema: Schema): Schema {
  return schema.type === 'string' ? { ...schema, minLength: 1 } : schema
}

/** Null counts as not given. */
function orNull(schema: Schema): Schema {
  const words = schema.enum as readonly Json[] | undefined
  return { ...schema, type: [schema.type as string, 'null'], ...(words && { enum: [...words, null] }) }
}

function notes({ help, secret, default: value }: Field): Schema {
  return {
    ...(help !== undefined && { description: help }),
    ...(value !== undefined && typeof value !== 'function' && { default: value }),
    ...(secret && { format: 'password' }),
  }
}

function tableSchema(
  fields: Fields,
  schemaOf: (field: Field) => Schema,
  isRequired: (field: Field, name: string) => boolean,
): Schema {
  const entries = Object.entries(fields)
  const required = entries.filter(([name, field]) => isRequired(field, name)).map(([name]) => name)
  return {
    type: 'object',
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(entries.map(([name, field]) => [name, schemaOf(field)])),
  }
}

/**
 * The same body as a form, which is flat: `config.minute`, and `config.limits.<any name>.minute` where names are free.
 * Lists are text with commas, and nothing is null.
 */
export function formSchema(body: Schema): Schema {
  const flat = flattened(body)
  return {
    ...body,
    ...(flat.required.length > 0 && { required: flat.required }),
    properties: Object.fromEntries(flat.properties),
    ...(flat.patterns.length > 0 && { patternProperties: Object.fromEntries(flat.patterns) }),
  }
}

interface Flat {
  readonly properties: readonly (readonly [string, Schema])[]
  readonly patterns: readonly (readonly [string, Schema])[]
  readonly required: readonly string[]
}

function flattened({ properties, required = [] }: JsonObject, prefix = ''): Flat {
  const parts = Object.entries(properties as Record<string, Schema>).map(([name, schema]): Flat => {
    const path = prefix + name
    const isRequired = (required as readonly string[]).includes(name)
    if (schema.properties) {
      const inner = flattened(schema, `${path}.`)
      return { ...inner, required: isRequired ? inner.required : [] }
    }
    const free = schema.additionalProperties as Schema | undefined
    if (free) return { properties: [], patterns: freePatterns(path, free), required: [] }
    return { properties: [[path, asText(schema)]], patterns: [], required: isRequired ? [path] : [] }
  })
  return {
    properties: parts.flatMap((part) => part.properties),
    patterns: parts.flatMap((part) => part.patterns),
    required: parts.flatMap((part) => part.required),
  }
}

function freePatterns(path: string, { properties }: Schema): [string, Schema][] {
  const literal = (text: string) => text.replaceAll('.', '\\.')
  return Object.entries(properties as Record<string, Schema>).map(([name, schema]) => [
    `^${literal(path)}\\.[^.]+\\.${literal(name)}$`,
    asText(schema),
  ])
}

function asText({ type, items, default: value, enum: words, ...rest }: Schema): Schema {
  const [only] = [type].flat() as string[]
  if (only === 'array')
    return { ...rest, type: 'string', ...(value !== undefined && { default: String(value) }) }
  return {
    type: only as string,
    ...rest,
    ...(value !== undefined && { default: value }),
    ...(words !== undefined && { enum: (words as readonly Json[]).filter((word) => word !== null) }),
  }
}
