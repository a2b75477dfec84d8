// The specification against the Admin API: what it says there is, is there, and what it says is taken is taken.
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { expect } from 'chai'
import { createRouter } from '../../src/admin/admin.ts'
import { isObject, type Json, type JsonObject } from '../../src/base/json.ts'
import { definePlugin } from '../../src/plugins/plugin.ts'
import { shippedPlugins } from '../../src/plugins/plugins.ts'
import { MemoryStore } from '../../src/testing/memory-store.ts'
import { flattened, type Reply, sendAs, startAdmin, startAdminOnPostgres } from '../support/admin.ts'
import { certificate, certificateKey } from '../support/certificate.ts'

type Schema = JsonObject

/** What no shipped plugin has: a pattern, words in a list, tables of fixed and of free attributes. */
const every = definePlugin({
  name: 'every-kind',
  phases: {},
  config: {
    code: { type: 'string', required: true, pattern: /^[a-z]{3}$/, example: 'abc' },
    levels: { type: 'array', enum: ['low', 'high'], default: ['low'] },
    add: { type: 'table', fields: { headers: { type: 'array', default: [] }, depth: { type: 'number' } } },
    limits: { type: 'table', each: { second: { type: 'number', required: true } } },
    since: { type: 'timestamp' },
    secret: { type: 'string', secret: true },
  },
})
const plugins = [...shippedPlugins, every]

describe('the specification of the Admin API', () => {
  let admin: Awaited<ReturnType<typeof startAdminOnPostgres>>
  // biome-ignore lint/suspicious/noExplicitAny: a document of many shapes
  let spec: any
  let ajv: Ajv2020
  /** Takes text for what it stands for, as the Admin API does in forms. */
  let ajvOfForms: Ajv2020
  const compiled = new Map<string, ValidateFunction>()

  before(async () => {
    admin = await startAdminOnPostgres({ plugins })
    spec = (await admin.get('/openapi.json')).body
    ajv = new Ajv2020({ strict: false, allErrors: true, code: { optimize: false } })
    ajvOfForms = new Ajv2020({ strict: false, coerceTypes: true, code: { optimize: false } })
    for (const each of [ajv, ajvOfForms]) {
      formats.default(each)
      each.addSchema(spec, 'spec')
    }
  })
  after(() => admin.stop())

  /** @param pointer  of a schema in the document, its parts in order */
  const validator = (...parts: readonly string[]): ValidateFunction => {
    const pointer = parts.map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')
    const known = compiled.get(pointer) ?? ajv.compile({ $ref: `spec#/${encodeURI(pointer)}` })
    compiled.set(pointer, known)
    return known
  }

  const expectValid = (what: string, value: unknown, ...pointer: readonly string[]) => {
    const validate = validator(...pointer)
    expect(validate(value), `${what} ${JSON.stringify(value)}: ${ajv.errorsText(validate.errors)}`).equal(
      true,
    )
  }

  /** Holds an answer against what the operation says of it. */
  const expectDescribed = (method: string, path: string, reply: Reply) => {
    const what = `${method} ${path} ${reply.status}`
    const answer = spec.paths[path][method].responses[reply.status]
    expect(answer, `${what} ${reply.text}`).not.equal(undefined)
    const at = answer.$ref
      ? answer.$ref.split('/').slice(1)
      : ['paths', path, method, 'responses', String(reply.status)]
    const { content, headers } = at.reduce((part: never, name: string) => part[name], spec)
    for (const [name] of reply.headers)
      if (/^x-troop|^etag$/.test(name)) {
        expect(
          Object.keys(headers).map((header) => header.toLowerCase()),
          what,
        ).include(name)
      }
    if (!content) expect(reply.text, what).equal('')
    else expectValid(what, reply.body, ...at, 'content', 'application/json', 'schema')
  }

  it('is valid OpenAPI 3.1, and its schemas are valid', async () => {
    const result = await new Validator().validate(structuredClone(spec))
    expect(result.errors).equal(undefined)
    expect(spec.openapi).match(/^3\.1\./)
    for (const name of Object.keys(spec.components.schemas)) validator('components', 'schemas', name)
  })

  it('has every route and method of the router, and no others', () => {
    const { stack } = createRouter({ ...admin.options, plugins })
    const routed = stack.flatMap(({ path, methods }) =>
      methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${path}`),
    )
    const told = Object.entries<object>(spec.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map(
        (method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
      ),
    )
    expect(told.toSorted()).deep.equal(routed.toSorted())
    expect(told).include('PATCH /consumers/:consumer/acls/:id').include('GET /openapi.json')
  })

  it('names every parameter of a path, and each operation by an id of its own', () => {
    const ids = new Set<string>()
    for (const [path, operations] of Object.entries<Record<string, Schema>>(spec.paths)) {
      for (const { operationId, parameters } of Object.values(operations)) {
        const inPath = (parameters as readonly Schema[]).filter((parameter) => parameter.in === 'path')
        const names = inPath.map(({ name }) => `{${name}}`)
        expect(names).deep.equal(path.match(/\{\w+\}/g) ?? [])
        expect(ids.has(operationId as string), String(operationId)).equal(false)
        ids.add(operationId as string)
      }
    }
  })

  it('asks for a token where one is asked for', async () => {
    expect([spec.security, spec.components.securitySchemes]).deep.equal([undefined, undefined])
    const guarded = await startAdmin(new MemoryStore(), { plugins, tokens: ['secret'] })
    try {
      const headers = { authorization: 'Bearer secret' }
      const { body } = await guarded.fetch('GET', '/openapi.json', { headers })
      expect([body.security, body.components.securitySchemes.token.scheme]).deep.equal([
        [{ token: [] }],
        'bearer',
      ])
      for (const [path, { get }] of Object.entries<{ get?: Schema }>(body.paths)) {
        if (!get || path.includes('{')) continue
        const isOpen = (await guarded.get(path)).status !== 401
        expect([path, (get.security as Json[])?.length === 0], path).deep.equal([path, isOpen])
        expect('401' in (get.responses as object), path).equal(!isOpen)
      }
    } finally {
      await guarded.stop()
    }
  })

  it('says of an attribute all that its table says', () => {
    const made = spec.components.schemas['plugins-new'].anyOf.at(-1)
    expect(made.properties.name).deep.include({ type: 'string', enum: ['every-kind'], minLength: 1 })
    expect(made.required).deep.equal(['name', 'config'])
    const { required, properties, additionalProperties } = made.properties.config
    expect([required, additionalProperties]).deep.equal([['code'], false])
    const list = { type: ['array', 'null'] }
    const depth = { type: ['number', 'null'] }
    expect(properties).deep.equal({
      code: { type: 'string', pattern: '^[a-z]{3}$', minLength: 1, examples: ['abc'] },
      levels: { ...list, items: { type: 'string', enum: ['low', 'high'] }, default: ['low'] },
      add: {
        type: ['object', 'null'],
        properties: { headers: { ...list, items: { type: 'string' }, default: [] }, depth },
        additionalProperties: false,
      },
      limits: {
        type: ['object', 'null'],
        additionalProperties: {
          type: 'object',
          required: ['second'],
          properties: { second: { type: 'number' } },
          additionalProperties: false,
        },
      },
      since: { type: ['integer', 'null'] },
      secret: { type: ['string', 'null'], format: 'password' },
    })
    const { anyOf, required: asked } = spec.components.schemas['apis-new']
    expect([anyOf, asked]).deep.equal([
      [{ required: ['request_host'] }, { required: ['request_path'] }],
      ['upstream_url'],
    ])
  })

  it('says what every GET answers', async () => {
    await admin.json('POST', '/apis', {
      name: 'seen',
      request_host: 'seen.com',
      upstream_url: 'http://a.com',
    })
    for (const path of Object.keys(spec.paths)) {
      if (!spec.paths[path].get || path === '/metrics') continue
      const url = path.replace('{api}', 'seen').replaceAll(/\{\w+\}/g, 'no-such')
      expectDescribed('get', path, await admin.get(url))
    }
  })

  describe('of what is made and changed', function () {
    // Some fifty kinds of rows, a dozen requests each.
    this.timeout(120_000)
    const owners: Readonly<Record<string, string>> = { api: 'owner', consumer: 'owner' }
    let application: string

    before(async () => {
      const api = { name: 'owner', request_host: 'owner.com', upstream_url: 'http://a.com' }
      await admin.json('POST', '/apis', api)
      await admin.json('POST', '/consumers', { username: 'owner' })
      const body = { name: 'owned', redirect_uri: ['http://a.com'] }
      application = (await admin.json('POST', '/consumers/owner/oauth2', body)).body.id
    })

    /** Collections, each with the alternatives that a new row has. */
    const collections = () =>
      Object.keys(spec.paths)
        .filter((path) => spec.paths[path].post && spec.paths[path].put)
        .flatMap((path) => bodiesOf(path).map((schema) => ({ path, url: fill(path), schema })))

    const bodiesOf = (path: string): readonly Schema[] => {
      const { schema } = spec.paths[path].post.requestBody.content['application/json']
      const name = (schema.$ref ?? schema.allOf[0].$ref).split('/').at(-1)
      const { anyOf, ...alone } = spec.components.schemas[name]
      const isSplit = anyOf?.every((part: Schema) => part.properties)
      if (!isSplit) return [{ ...alone, anyOf }]
      const names: readonly string[] | undefined = schema.allOf?.[1].properties?.name.enum
      return anyOf.filter((part: typeof spec) => names?.includes(part.properties.name.enum[0]) ?? true)
    }

    const fill = (path: string) => path.replaceAll(/\{(\w+)\}/g, (_, name) => owners[name] as string)
    const bodyAt = (path: string) => [
      'paths',
      path,
      'post',
      'requestBody',
      'content',
      'application/json',
      'schema',
    ]
    /** A token is of an application; no other row needs one that it can't be told of by its path. */
    const exampleAt = (path: string, schema: Schema): JsonObject => {
      const body = exampleOf(schema) as JsonObject
      return path === '/oauth2_tokens' ? { ...body, credential_id: application } : body
    }

    /** What the path says goes, whatever a body says. */
    const isDecided = (path: string, name: string) =>
      (path.startsWith('/apis/') && name === 'api_id') ||
      (path.startsWith('/consumers/') && name === 'consumer_id')

    /** Makes a row, looks at it in every way, changes it, replaces it, and removes it. */
    const live = async (path: string, url: string, body: JsonObject, encoding: 'json' | 'form') => {
      const send = sendAs(admin, encoding)
      const made = await send('POST', url, body)
      expect(made.status, `${url} ${JSON.stringify(body)} ${made.text}`).equal(201)
      expectDescribed('post', path, made)
      const itemPath = Object.keys(spec.paths).find(
        (other) => other.startsWith(`${path}/{`) && spec.paths[other].patch,
      ) as string
      const item = `${url}/${made.body.id}`
      expectDescribed('patch', itemPath, await send('PATCH', item, body))
      if (encoding === 'form') {
        // What is asked without a body is the same.
        await admin.delete(item)
        return made.body as JsonObject
      }
      expectDescribed('get', itemPath, await admin.get(item))
      expectDescribed('get', path, await admin.get(`${url}?id=${made.body.id}`))
      expectDescribed('put', path, await admin.json('PUT', url, made.body))
      if (spec.paths[itemPath].put) {
        expectDescribed('put', itemPath, await admin.json('PUT', item, made.body))
      }
      const headers = { 'if-match': '"another"' }
      expectDescribed('delete', itemPath, await admin.fetch('DELETE', item, { headers }))
      const removed = await admin.delete(item)
      expect(removed.status).equal(204)
      expectDescribed('delete', itemPath, removed)
      expectDescribed('delete', itemPath, await admin.delete(item))
      return made.body as JsonObject
    }

    for (const encoding of ['json', 'form'] as const) {
      it(`is taken as it says, and answered as it says, as ${encoding}`, async () => {
        for (const { path, url, schema } of collections()) {
          const body = exampleAt(path, schema)
          if (encoding === 'json') expectValid(path, body, ...bodyAt(path))
          else {
            const at = `/paths/${encodeURI(path.replaceAll('/', '~1'))}/post/requestBody/content`
            const form = { $ref: `spec#${at}/application~1x-www-form-urlencoded/schema` }
            const isForm = ajvOfForms.validate(form, flattened(body))
            expect(isForm, `${path} ${ajvOfForms.errorsText()}`).equal(true)
          }
          const row = await live(path, url, body, encoding)
          const defaults = Object.entries<Schema>(schema.properties as never).filter(
            ([, of]) => 'default' in of,
          )
          for (const [name, { default: value }] of defaults) {
            if (!isObject(value) && !(name in body)) expect(row[name], name).deep.equal(value)
          }
          const shown = Object.keys(row).filter((name) => !Object.hasOwn(schema.properties as object, name))
          expect(shown, `${path} shows what is not in its table`).deep.equal([])
        }
      })
    }

    it('may leave out, or give as null, all that is not required', async () => {
      for (const { path, url, schema } of collections()) {
        const body = exampleAt(path, schema)
        const properties = Object.entries<Schema>(schema.properties as never)
        const nullable = properties.filter(
          ([name, { type }]) => [type].flat().includes('null') && !(name in body),
        )
        const blanked = { ...body, ...Object.fromEntries(nullable.map(([name]) => [name, null])) }
        expectValid(path, blanked, ...bodyAt(path))
        await live(path, url, blanked, 'json')
      }
    })

    it('is refused as it says: what is missing, of another type, none of the words, not of the form, unknown', async () => {
      let tried = 0
      for (const { path, url, schema } of collections()) {
        const body = exampleAt(path, schema)
        for (const { at, value } of faultsIn(schema, body)) {
          if (isDecided(path, at[0] as string)) continue
          const wrong = replaced(body, at, value)
          const what = `${url} ${at.join('.')} = ${JSON.stringify(value)}`
          expect(validator(...bodyAt(path))(wrong), what).equal(false)
          const reply = await admin.json('POST', url, wrong)
          expect(reply.status, `${what}: ${reply.text}`).equal(400)
          expectDescribed('post', path, reply)
          // A plugin that is none has no table by which anything could be named.
          if (at[0] !== 'name' || !path.endsWith('plugins')) {
            expect(
              Object.keys(reply.body).some((name) => name.startsWith(at.join('.'))),
              `${what}: ${reply.text}`,
            ).equal(true)
          }
          tried++
        }
      }
      expect(tried).greaterThan(150)
    })
  })
})

/** No specification should have an example of these that passes: somebody would use it. */
const pems: Record<string, string> = { cert: certificate, key: certificateKey }

/** A value that a schema allows: what it asks for, and what it gives examples of. */
function exampleOf(schema: Schema, name = 'x'): Json {
  const {
    examples,
    enum: words,
    type,
    properties,
    required = [],
    anyOf,
    items,
  } = schema as {
    examples?: Json[]
    enum?: Json[]
    type?: string | string[]
    properties?: Record<string, Schema>
    required?: string[]
    anyOf?: { required?: string[] }[]
    items?: Schema
  }
  if (examples) return examples[0] as Json
  if (words) return words[0] as Json
  switch ([type].flat()[0]) {
    case 'object': {
      const asked = new Set([...required, ...(anyOf?.[0]?.required ?? [])])
      const shown = Object.entries(properties ?? {}).filter(
        ([own, { examples }]) => asked.has(own) || examples,
      )
      return Object.fromEntries(shown.map(([own, inner]) => [own, exampleOf(inner, own)]))
    }
    case 'array':
      return [exampleOf(items as Schema)]
    case 'number':
    case 'integer':
      return 1
    case 'boolean':
      return true
    default:
      return pems[name] ?? `some-${name}`
  }
}

interface Fault {
  readonly at: readonly string[]
  /** Undefined: it is left out. */
  readonly value: Json | undefined
}

/** One for each thing that `schema` asks for, of a body that is right. */
function faultsIn(schema: Schema, body: JsonObject, at: readonly string[] = []): Fault[] {
  const { properties = {}, required = [] } = schema as {
    properties?: Record<string, Schema>
    required?: string[]
  }
  const missing = required
    .filter((name) => !holdsTables(properties[name] as Schema))
    .map((name) => ({ at: [...at, name], value: undefined }))
  const unknown = { at: [...at, 'no_such_attribute'], value: 'x' }
  const wrong = Object.entries(properties).flatMap(([name, inner]): Fault[] => {
    const here = [...at, name]
    const values = wrongValues(inner).map((value) => ({ at: here, value }))
    if (!inner.properties) return values
    const held = isObject(body[name]) ? body[name] : {}
    return [...values, ...faultsIn(inner, held, here)]
  })
  return [...missing, unknown, ...wrong]
}

/** A table that is missing is told by what is missing in it. */
function holdsTables({ properties }: Schema): boolean {
  return properties !== undefined
}

function wrongValues(schema: Schema): Json[] {
  const [type] = [schema.type].flat()
  const items = schema.items as Schema | undefined
  const free = schema.additionalProperties as Schema | undefined
  return [
    type === 'string' ? { a: 1 } : type === 'array' ? { a: 'x' } : 'neither',
    ...(schema.enum ? ['none of these'] : []),
    ...(schema.pattern ? ['!'] : []),
    ...(schema.format === 'uri' ? ['no-url'] : []),
    ...(items?.enum ? [['none of these']] : []),
    ...(isObject(free) ? [{ any: 'no table' }, { any: { no_such_attribute: 1 } }] : []),
    ...(isObject(free) && free.required ? [{ any: {} }] : []),
  ]
}

function replaced(body: JsonObject, [name, ...rest]: readonly string[], value: Json | undefined): JsonObject {
  const { [name as string]: before, ...others } = body
  if (rest.length > 0) {
    return { ...body, [name as string]: replaced(isObject(before) ? before : {}, rest, value) }
  }
  return value === undefined ? others : { ...others, [name as string]: value }
}
