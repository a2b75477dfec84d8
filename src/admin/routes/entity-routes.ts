// The routes that a collection and its items have, at whatever path it lies.
import type { RouterContext } from '@koa/router'
import type { Entity } from '../../entities/define.ts'
import type { Filter, Store } from '../../store/store.ts'
import { type Collection, type Crud, whereId, whereNamed } from '../crud.ts'
import { bodyOf, decidedBy } from '../entity-schemas.ts'
import { notFound } from '../errors.ts'
import { valueSchema } from '../field-schemas.ts'
import {
  type Answer,
  type AnswerHeader,
  count,
  headerParameter,
  jsonAnswer,
  named,
  type Parameter,
  pathParameter,
  queryParameter,
  type Route,
  type Schema,
  text,
} from '../route.ts'

/** What routes are made of. */
export interface RouteTools {
  readonly store: Store
  readonly crud: Crud
}

export interface EntityRoutes extends Pick<Collection, 'entity' | 'shapeOf'> {
  /** e.g. `/consumers/:consumer/key-auth` */
  readonly path: string
  /** Whose rows these are, where the path names an owner: the parameter, what it names, and the column that says so. */
  readonly within?: { readonly parameter: string; readonly owner: Entity; readonly column: string }
  /** What tells a PUT that replaces from one that creates. Default: `id`. */
  readonly primaryKey?: readonly string[]
  /** How the path calls the item. Default: `id`. */
  readonly item?: string
  /** Whether items answer to their alias besides their id. Default false: what is not an id is a 400. */
  readonly byAlias?: boolean
  /** The attribute under which that is told. Default: `id`. */
  readonly wrongId?: string | undefined
  /** What the specification says of new rows here besides what it says of them anywhere. */
  readonly rule?: Schema
}

export function entityRoutes({ store, crud }: RouteTools, about: EntityRoutes): readonly Route[] {
  const { path, entity, shapeOf, within, primaryKey = ['id'], item = 'id', byAlias = false, wrongId } = about
  const { rule } = about
  const collection = async ({ params }: RouterContext): Promise<Collection> => ({
    entity,
    scope: within ? { [within.column]: await ownerId(store, within.owner, params[within.parameter]) } : {},
    ...(shapeOf && { shapeOf }),
  })
  const where = ({ params }: RouterContext): Filter => {
    const name = params[item] as string
    return byAlias ? whereNamed(entity, name) : whereId(name, wrongId)
  }

  const owner = within ? [pathParameter(within.parameter, naming(within.owner))] : []
  const oneItem = [
    ...owner,
    pathParameter(item, byAlias ? naming(entity) : `id of one of the ${entity.name}`),
  ]
  const missing = within
    ? { 404: `No such ${within.parameter}, or an id in the body that points at nothing` }
    : pointless
  const of = within ? ` of one ${within.parameter}` : ''
  const asked = within ? undefined : askedFor(entity)
  return [
    {
      method: 'get',
      path,
      summary: `Lists ${entity.name}${of}`,
      parameters: [...owner, ...listParameters(entity)],
      answers: {
        200: jsonAnswer('A page', named(`${entity.name}-list`)),
        ...reading,
        ...(within && missing),
      },
      handle: async (ctx) => crud.list(ctx, await collection(ctx)),
    },
    {
      method: 'post',
      path,
      summary: `Adds one to the ${entity.name}${of}`,
      parameters: owner,
      body: bodyOf(entity, 'new', both(rule, asked && { required: asked })),
      answers: { 201: written(entity, 'The new row'), ...writing, ...missing },
      handle: async (ctx) => crud.create(ctx, await collection(ctx)),
    },
    {
      method: 'put',
      path,
      summary: `Replaces the one of the ${entity.name}${of} that has this ${primaryKey.join(' and ')}, or adds one`,
      parameters: [...owner, ifMatch],
      body: bodyOf(entity, 'new', both(rule, replacing(entity, asked))),
      answers: {
        200: written(entity, 'The row that took the place of another'),
        201: written(entity, 'The new row'),
        ...writing,
        ...missing,
        ...mismatch,
      },
      handle: async (ctx) => crud.put(ctx, await collection(ctx), primaryKey),
    },
    {
      method: 'get',
      path: `${path}/:${item}`,
      summary: `Shows one of the ${entity.name}${of}`,
      parameters: [...oneItem, ifNoneMatch],
      answers: {
        200: jsonAnswer('The row', named(entity.name), ['ETag']),
        304: { description: 'The client has it already', headers: ['ETag'] },
        ...reading,
        404: 'There is none',
      },
      handle: async (ctx) => crud.read(ctx, await collection(ctx), where(ctx)),
    },
    {
      method: 'patch',
      path: `${path}/:${item}`,
      summary: `Changes one of the ${entity.name}${of}`,
      parameters: [...oneItem, ifMatch],
      body: bodyOf(entity, 'change'),
      answers: {
        200: written(entity, 'The row as it is now'),
        ...writing,
        404: 'There is none, or an id in the body points at nothing',
        ...mismatch,
      },
      handle: async (ctx) => crud.patch(ctx, await collection(ctx), where(ctx)),
    },
    {
      method: 'delete',
      path: `${path}/:${item}`,
      summary: `Removes one of the ${entity.name}${of}`,
      parameters: [...oneItem, ifMatch],
      answers: {
        204: { description: 'It is gone', headers: ofWrites },
        ...reading,
        404: 'There is none',
        ...mismatch,
      },
      handle: async (ctx) => crud.remove(ctx, await collection(ctx), where(ctx)),
    },
  ]
}

/** The collection of all rows of an entity that has one, whoever owns them. */
export function collectionRoutes(tools: RouteTools, entity: Entity): readonly Route[] {
  if (!entity.collection) return []
  const { listOnly = false, wrongId } = entity.collection
  const path = `/${entity.collection.path}`
  const routes = entityRoutes(tools, { path, entity, wrongId })
  if (listOnly) return routes.filter((route) => route.method === 'get' && route.path === path)
  const item = `${path}/:id`
  const replace: Route = {
    method: 'put',
    path: item,
    summary: `Replaces one of the ${entity.name}, or adds it`,
    parameters: [pathParameter('id', `id of one of the ${entity.name}`), ifMatch],
    body: bodyOf(entity, 'new'),
    answers: {
      200: written(entity, 'The row that took the place of another'),
      201: written(entity, 'The new row'),
      ...writing,
      ...pointless,
      ...mismatch,
    },
    // The path has all of the key.
    handle: (ctx) => tools.crud.put(ctx, { entity, scope: whereId(ctx.params.id ?? '', wrongId) }, []),
  }
  return [...routes, replace]
}

const away = {
  503: 'The datastore is away or busy: nothing was changed, or the text says that the outcome is not known',
}
const reading = { 400: 'A parameter is wrong', ...away }
const writing = {
  400: 'The body is wrong: all that is, by attribute',
  409: 'A unique attribute is taken',
  ...away,
}
const pointless = { 404: 'An id in the body points at nothing' }
const mismatch = { 412: 'It is another by now than If-Match says; nothing was changed' }
const ofWrites: readonly AnswerHeader[] = ['X-Troop-Position', 'X-Troop-Applied', 'X-Troop-Lagging']

const ifMatch = headerParameter(
  'If-Match',
  'the ETag of what the change is meant for, or `*` for any that is there',
)
const ifNoneMatch = headerParameter('If-None-Match', 'the ETag of what the client has')

function written(entity: Entity, description: string): Answer {
  return jsonAnswer(description, named(entity.name), ['ETag', ...ofWrites])
}

function naming({ alias, name }: Entity): string {
  return alias === undefined ? `id of one of the ${name}` : `${alias} or id of one of the ${name}`
}

/** Lists and tables can't be compared with. */
function listParameters({ fields }: Entity): Parameter[] {
  const filters = Object.entries(fields).filter(([, { type }]) => type !== 'array' && type !== 'table')
  return [
    queryParameter('size', 'rows a page; 0 asks for the total alone', { ...count, default: 100 }),
    queryParameter('offset', 'which page, as `next` says it', text),
    ...filters.map(([name, field]) => queryParameter(name, 'only rows with this value', valueSchema(field))),
  ]
}

/** The attributes that a path would decide, and this one does not. */
function askedFor(entity: Entity): readonly string[] | undefined {
  const name = decidedBy(entity)
  return name === '' ? undefined : [name]
}

function both(one: Schema | undefined, other: Schema | undefined): Schema | undefined {
  return one && other ? { ...one, ...other } : (one ?? other)
}

/** Whoever names a row to be replaced names all that its table requires. */
function replacing({ fields }: Entity, asked: readonly string[] | undefined): Schema | undefined {
  const isAsked = fields.created_at?.required === true
  if (!asked && !isAsked) return undefined
  return { ...(asked && { required: asked }), ...(isAsked && { dependentRequired: { id: ['created_at'] } }) }
}

/** The id of the row that a path names as owner of others. @throws {Refused} 404 when there is none */
async function ownerId(store: Store, entity: Entity, name: string | undefined): Promise<string> {
  const row = await store.read(entity, whereNamed(entity, name ?? ''))
  if (!row) throw notFound()
  return row.id as string
}
