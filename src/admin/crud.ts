// Collections and items, the same for every entity. What a row may hold comes from the entity's field table, who
// may be where from the routes, and whether it fits the other rows from the database's constraints.
import type { RouterContext } from '@koa/router'
import { codeOf } from '../base/errors.ts'
import type { JsonObject, Row } from '../base/json.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Entity } from '../entities/define.ts'
import { Invalid } from '../entities/errors.ts'
import { toReply } from '../entities/reply.ts'
import { isUuid, notUuid } from '../entities/uuid.ts'
import { type Shape, type Task, validate } from '../entities/validate.ts'
import type { Filter, Store, Written } from '../store/store.ts'
import { readParameters } from './body.ts'
import { entityTag, isKnown, requireMatch } from './entity-tag.ts'
import { badRequest, notFound } from './errors.ts'
import { nextUrl, parseListing } from './listing.ts'
import { isStorable } from './parameters.ts'
import { send } from './reply.ts'
import { Sealer, type Seals, sealed } from './seals.ts'

/** Rows as one route sees them. */
export interface Collection {
  readonly entity: Entity
  /** Columns that the path decides, e.g. `{ api_id }`: only such rows are seen, and a body can't say otherwise. */
  readonly scope: Filter
  /** What a row with these attributes must look like; by default what the entity says. */
  readonly shapeOf?: (attributes: JsonObject) => Shape
}

export interface CrudOptions {
  readonly store: Store
  readonly random: Random
  readonly logger: Logger
  /**
   * Makes a committed write known: applied by this node, then by the others, which are waited for as long as `waitMs`.
   * @throws when not even this node could apply it
   */
  readonly publish: (written: Pick<Written, 'stamp' | 'nodes'>, waitMs: number) => Promise<Published>
  /** The longest that a write waits for other nodes. */
  readonly ackTimeoutMs: number
}

/** Who has a write by the time of its answer. */
export interface Published {
  readonly applied: number
  readonly of: number
  readonly lagging: readonly string[]
}

/** What a request gives a row to be made of. */
interface Draft {
  readonly input: JsonObject
  readonly seals: Seals
}

/** Handlers of one collection; those of items are told which one by `where`. */
export interface Crud {
  list(ctx: RouterContext, collection: Collection): Promise<void>
  create(ctx: RouterContext, collection: Collection): Promise<void>
  /** PUT on a collection: replaces the row whose primary key the body gives, or creates it. */
  put(ctx: RouterContext, collection: Collection, primaryKey: readonly string[]): Promise<void>
  read(ctx: RouterContext, collection: Collection, where: Filter): Promise<void>
  patch(ctx: RouterContext, collection: Collection, where: Filter): Promise<void>
  remove(ctx: RouterContext, collection: Collection, where: Filter): Promise<void>
}

export function createCrud({ store, random, logger, publish, ackTimeoutMs }: CrudOptions): Crud {
  const sealer = new Sealer(random)

  const draft = async (ctx: RouterContext, { entity }: Collection): Promise<Draft> => {
    const input = await parametersOf(ctx)
    return { input, seals: await sealer.of(entity, input) }
  }

  const check = (collection: Collection, { input, seals }: Draft, task: Task): Row => {
    const current = 'current' in task ? task.current : undefined
    const shape = collection.shapeOf?.({ ...current, ...input }) ?? collection.entity
    const row = validate(shape, { ...input, ...collection.scope }, task, random)
    return sealed(row, seals, current)
  }

  const insert = (ctx: RouterContext, { entity }: Collection, row: Row) =>
    store.insert(entity, row, actorOf(ctx))

  /** A PUT that is sent twice at once must not fail because the other one made the row in between. */
  const replaceOrInsert = async (ctx: RouterContext, collection: Collection, given: Draft) => {
    const fresh = check(collection, given, { mode: 'replace' })
    const where = { ...collection.scope, id: fresh.id as string }
    const revise = (current: Row) => {
      requireMatch(ctx, collection.entity, current)
      return check(collection, given, { mode: 'replace', current })
    }
    const replace = () => store.update(collection.entity, where, revise, actorOf(ctx))
    const replaced = await replace()
    if (replaced) return replaced
    requireMatch(ctx, collection.entity, null)
    try {
      return await insert(ctx, collection, fresh)
    } catch (error) {
      const overtaken = isTaken(error, 'id') ? await replace() : null
      if (!overtaken) throw error
      return overtaken
    }
  }

  const answer = async (ctx: RouterContext, entity: Entity, written: Written): Promise<void> => {
    const { operation, row, stamp, nodes } = written
    ctx.set('X-Troop-Position', String(stamp.position))
    try {
      const { applied, of, lagging } = await publish(written, Math.min(ctx.state.waitMs, ackTimeoutMs))
      ctx.set('X-Troop-Applied', `${applied}/${of}`)
      if (lagging.length > 0) ctx.set('X-Troop-Lagging', lagging.join(', '))
    } catch (error) {
      // The write stands, so the answer can't be an error; it says instead that not even this node has it.
      logger.warn('a committed write is not applied here yet', { position: stamp.position, error })
      ctx.set('X-Troop-Applied', `0/${Math.max(nodes.length, 1)}`)
    }
    if (operation === 'delete') ctx.status = 204
    else {
      ctx.set('ETag', entityTag(entity, row))
      send(ctx, operation === 'create' ? 201 : 200, toReply(entity, row))
    }
  }

  return {
    async list(ctx, { entity, scope }) {
      const request = parseListing(entity, await parametersOf(ctx))
      const { size, page, filter } = request
      const { rows, total } = await store.list(entity, { ...filter, ...scope }, { size, page })
      const next = nextUrl(addressOf(ctx), request, total)
      send(ctx, 200, { data: rows.map((row) => toReply(entity, row)), total, ...(next && { next }) })
    },

    async create(ctx, collection) {
      const row = check(collection, await draft(ctx, collection), { mode: 'create' })
      await answer(ctx, collection.entity, await insert(ctx, collection, row))
    },

    async put(ctx, collection, primaryKey) {
      const given = await draft(ctx, collection)
      const isKeyed = primaryKey.every((column) => given.input[column] != null && given.input[column] !== '')
      const written = isKeyed
        ? await replaceOrInsert(ctx, collection, given)
        : await insert(ctx, collection, check(collection, given, { mode: 'create' }))
      await answer(ctx, collection.entity, written)
    },

    async read(ctx, { entity, scope }, where) {
      const row = await store.read(entity, { ...where, ...scope })
      if (!row) throw notFound()
      const tag = entityTag(entity, row)
      ctx.set('ETag', tag)
      if (isKnown(ctx, tag)) ctx.status = 304
      else send(ctx, 200, toReply(entity, row))
    },

    async patch(ctx, collection, where) {
      const given = await draft(ctx, collection)
      if (Object.keys(given.input).length === 0) throw badRequest('Nothing to update: no attribute is given')
      const { entity, scope } = collection
      const revise = (current: Row) => {
        requireMatch(ctx, entity, current)
        return check(collection, given, { mode: 'patch', current })
      }
      const written = await store.update(entity, { ...where, ...scope }, revise, actorOf(ctx))
      if (!written) throw notFound()
      await answer(ctx, entity, written)
    },

    async remove(ctx, { entity, scope }, where) {
      const agree = (current: Row) => requireMatch(ctx, entity, current)
      const written = await store.remove(entity, { ...where, ...scope }, agree, actorOf(ctx))
      if (!written) throw notFound()
      await answer(ctx, entity, written)
    },
  }
}

export function parametersOf(ctx: RouterContext): Promise<JsonObject> {
  return readParameters(ctx.req, ctx.querystring)
}

/** Scheme, host and path as the client used them; like 0.8, without a port that the scheme implies. */
export function addressOf({ protocol, host, path, secure }: RouterContext): string {
  return `${protocol}://${host.replace(secure ? /:443$/ : /:80$/, '')}${path}`
}

/** Who wrote, as the events tell it: the name of the token, else the address. */
function actorOf(ctx: RouterContext): string {
  return ctx.state.caller ?? `admin-api ${ctx.ip}`
}

function isTaken(error: unknown, attribute: string): boolean {
  return codeOf(error) === 'already-exists' && (error as { attribute?: unknown }).attribute === attribute
}

/** The row that a path names by its id, or, where the entity has one, by its alias. */
export function whereNamed({ alias = 'id' }: Entity, name: string): Filter {
  // No row has such a name, and the datastore would refuse the question.
  if (!isStorable(name)) throw notFound()
  return isUuid(name) ? { id: name } : { [alias]: name }
}

/** The row that a path names by its id alone. @throws {Invalid} when it is none */
export function whereId(id: string, attribute = 'id'): Filter {
  if (!isUuid(id)) throw new Invalid({ [attribute]: notUuid(id) })
  return { id }
}
