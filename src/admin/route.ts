// What a route of the Admin API is: one value from which the router dispatches and the specification is written.
import type { RouterContext } from '@koa/router'
import type { JsonObject } from '../base/json.ts'

/** JSON Schema, 2020-12, as OpenAPI 3.1 has it. */
export type Schema = JsonObject

export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  /** With parameters as the router takes them: `/cache/:key`. */
  readonly path: string
  readonly summary: string
  /** Of the path, the query and the header; those that every request may have are not repeated. */
  readonly parameters?: readonly Parameter[]
  readonly body?: Body
  /** By status; a text is the description of an error. Those that any request may get are not repeated. */
  readonly answers: Readonly<Record<number, Answer | string>>
  /** Whether no token is needed. */
  readonly isOpen?: boolean
  readonly handle: (ctx: RouterContext) => unknown
}

export interface Parameter {
  readonly in: 'path' | 'query' | 'header'
  readonly name: string
  readonly description: string
  readonly schema: Schema
}

export interface Body {
  readonly json: Schema
  /** The same, flat: nested attributes have dotted names. */
  readonly form: Schema
}

export interface Answer {
  readonly description: string
  /** Names of those of openapi.ts. */
  readonly headers?: readonly AnswerHeader[]
  /** By media type; nothing for an answer without a body. */
  readonly content?: Readonly<Record<string, Schema>>
}

export type AnswerHeader =
  | 'X-Request-ID'
  | 'X-Troop-Position'
  | 'X-Troop-Applied'
  | 'X-Troop-Lagging'
  | 'ETag'

export const jsonType = 'application/json'

export function jsonAnswer(
  description: string,
  schema: Schema,
  headers: readonly AnswerHeader[] = [],
): Answer {
  return { description, headers, content: { [jsonType]: schema } }
}

/** One of the specification's own, such as that of an entity's rows. */
export function named(schema: string): Schema {
  return { $ref: `#/components/schemas/${schema}` }
}

export function pathParameter(name: string, description: string): Parameter {
  return { in: 'path', name, description, schema: { type: 'string' } }
}

export function queryParameter(name: string, description: string, schema: Schema): Parameter {
  return { in: 'query', name, description, schema }
}

export function headerParameter(name: string, description: string, schema: Schema = text): Parameter {
  return { in: 'header', name, description, schema }
}

/** An object of these attributes, all of which are always there. */
export function objectOf(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', required: Object.keys(properties), properties }
}

export const text: Schema = { type: 'string' }
export const count: Schema = { type: 'integer', minimum: 0 }
export const truth: Schema = { type: 'boolean' }
