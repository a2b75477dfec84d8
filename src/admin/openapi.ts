// The specification of the Admin API, made from its routes and from the field tables of entities and plugins.
import type { JsonObject } from '../base/json.ts'
import type { Entity } from '../entities/define.ts'
import type { Plugin } from '../plugins/plugin.ts'
import { entitySchemas } from './entity-schemas.ts'
import { send } from './reply.ts'
import {
  type Answer,
  type AnswerHeader,
  type Body,
  count,
  headerParameter,
  jsonAnswer,
  jsonType,
  named,
  type Parameter,
  type Route,
  type Schema,
  text,
} from './route.ts'

export interface Described {
  /** Of Troop. */
  readonly version: string
  /** Whether a token is asked for. */
  readonly isGuarded: boolean
  readonly entities: readonly Entity[]
  readonly plugins: readonly Plugin[]
}

/** `routes`, and the one that answers with the specification of them all. */
export function withSpecification(routes: readonly Route[], described: Described): readonly Route[] {
  let document: JsonObject | undefined
  const own: Route = {
    method: 'get',
    path: '/openapi.json',
    summary: 'This specification',
    answers: { 200: jsonAnswer('An OpenAPI document', { type: 'object' }) },
    handle(ctx) {
      document ??= specification(all, described)
      send(ctx, 200, document)
    },
  }
  const all = [...routes, own]
  return all
}

function specification(routes: readonly Route[], described: Described): JsonObject {
  const paths = Map.groupBy(routes, ({ path }) => path.replaceAll(/:(\w+)/g, '{$1}'))
  return {
    openapi: '3.1.0',
    info: { title: 'Troop Admin API', version: described.version, description },
    servers: [{ url: '/' }],
    ...(described.isGuarded && { security: [{ token: [] }] }),
    paths: Object.fromEntries(
      [...paths].map(([path, routes]) => [
        path,
        Object.fromEntries(routes.map((route) => [route.method, operation(route, described)])),
      ]),
    ),
    components: {
      schemas: { Error: errorSchema, ...entitySchemas(described.entities, described.plugins) },
      parameters: Object.fromEntries(shared.map((parameter) => [parameter.name, parameterObject(parameter)])),
      headers: Object.fromEntries(
        Object.entries(answerHeaders).map(([name, { schema, says }]) => [
          name,
          { description: says, schema },
        ]),
      ),
      responses: Object.fromEntries(
        Object.entries(common).map(([status, says]) => [`status-${status}`, answerObject(says)]),
      ),
      ...(described.isGuarded && { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }),
    },
  }
}

const description = [
  'Every route works with and without a slash at its end, `HEAD` wherever `GET` does, and `OPTIONS` is 204 on any path.',
  'Parameters of a body may also stand in the query string; the body overrules it, and the path overrules both.',
  'In forms, nested attributes have dotted names and lists are text with commas.',
  'What is null, or blank text, counts as not given. docs/admin-api.md tells more.',
].join('\n')

const errorSchema: Schema = {
  type: 'object',
  description: 'What is wrong, by the dotted path of the attribute; `message` where no attribute is to blame',
  minProperties: 1,
  additionalProperties: { anyOf: [text, { type: 'array', items: text }] },
}

const waits = headerParameter(
  'X-Troop-Wait',
  'how long to wait for other nodes: `all`, `none` or milliseconds; never longer than `cluster.ack_timeout`',
  { type: 'string', default: 'all', pattern: '^(all|none|[0-9]+)$' },
)
const shared: readonly Parameter[] = [
  headerParameter('X-Request-ID', 'stands in the answer and in the log; without it there is a new one', {
    type: 'string',
    pattern: '^[\\w.:-]{1,128}$',
  }),
  waits,
]

const answerHeaders: Readonly<Record<AnswerHeader, { readonly schema: Schema; readonly says: string }>> = {
  'X-Request-ID': { schema: text, says: "the request's own, or a new one" },
  'X-Troop-Position': { schema: count, says: 'where in the log the change is' },
  'X-Troop-Applied': {
    schema: { type: 'string', pattern: '^\\d+/\\d+$' },
    says: 'how many of the registered nodes have the change: `2/3`',
  },
  'X-Troop-Lagging': { schema: text, says: 'names of the nodes that have not; absent when all have' },
  ETag: { schema: text, says: 'of what is shown of the item' },
}

/** What any request may get, or any with a body. */
const common: Readonly<Record<number, string>> = {
  401: 'No token, or a wrong one',
  403: 'The Host is not this Admin API, or the page that asks is of another origin',
  413: 'The body is larger than 10 MB',
  415: 'Content-Type is missing',
  500: 'A failure of the node; its log has it',
}

function operation(route: Route, { isGuarded }: Described): JsonObject {
  const { method, path, summary, parameters = [], body, answers, isOpen = false } = route
  const own = Object.entries(answers).map(([status, answer]) => [status, answerObject(answer)] as const)
  const writes = method !== 'get' && Object.values(answers).some(isOfWrite)
  const needsType = method !== 'get' && method !== 'delete'
  const others = [
    ...(isGuarded && !isOpen ? [401] : []),
    403,
    ...(body ? [413] : []),
    ...(needsType ? [415] : []),
    500,
  ]
  return {
    operationId: `${method}${path.replaceAll(/[/:._]+/g, '-')}`.replace(/-$/, ''),
    tags: [path.split('/')[1] || 'node'],
    summary,
    ...(isGuarded && isOpen && { security: [] }),
    parameters: [
      ...parameters.map(parameterObject),
      reference('parameters', 'X-Request-ID'),
      ...(writes ? [reference('parameters', waits.name)] : []),
    ],
    ...(body && { requestBody: bodyObject(body) }),
    responses: Object.fromEntries([
      ...own,
      ...others
        .filter((status) => !(status in answers))
        .map((status) => [status, reference('responses', `status-${status}`)]),
    ]),
  }
}

function isOfWrite(answer: Answer | string): boolean {
  return typeof answer === 'object' && (answer.headers ?? []).includes('X-Troop-Position')
}

function parameterObject({ in: place, name, description, schema }: Parameter): JsonObject {
  return { in: place, name, description, ...(place === 'path' && { required: true }), schema }
}

function bodyObject({ json, form }: Body): JsonObject {
  return {
    content: {
      [jsonType]: { schema: json },
      'application/x-www-form-urlencoded': { schema: form },
      'multipart/form-data': { schema: form },
    },
  }
}

function answerObject(answer: Answer | string): JsonObject {
  if (typeof answer === 'string') return answerObject(jsonAnswer(answer, named('Error')))
  const { description, headers = [], content } = answer
  return {
    description,
    headers: Object.fromEntries(
      ['X-Request-ID', ...headers].map((name) => [name, reference('headers', name)]),
    ),
    ...(content && {
      content: Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }])),
    }),
  }
}

function reference(kind: string, name: string): JsonObject {
  return { $ref: `#/components/${kind}/${name}` }
}
