// The routes that a collection and its items have, at whatever path it lies.
import type Router from '@koa/router'
import type { RouterContext } from '@koa/router'
import type { Entity } from '../../entities/define.ts'
import type { Filter, Store } from '../../store/store.ts'
import { type Collection, type Crud, whereId, whereNamed } from '../crud.ts'
import { notFound } from '../errors.ts'

/** What routes are made of. */
export interface RouteTools {
  readonly router: Router
  readonly store: Store
  readonly crud: Crud
}

export interface EntityRoutes {
  /** e.g. `/consumers/:consumer/key-auth` */
  readonly path: string
  /** Finds out whose rows the request is about. @throws {Refused} 404 when the path names an owner that is not there */
  readonly collection: (ctx: RouterContext) => Collection | Promise<Collection>
  /** What tells a PUT that replaces from one that creates. Default: `id`. */
  readonly primaryKey?: readonly string[]
  /** Whether items answer to their alias besides their id. Default false: what is not an id is a 400. */
  readonly byAlias?: boolean
  /** The attribute under which that is told. Default: `id`. */
  readonly wrongId?: string | undefined
}

export function addEntityRoutes({ router, crud }: RouteTools, routes: EntityRoutes): void {
  const { path, collection, primaryKey = ['id'], byAlias = false, wrongId } = routes
  router.get(path, async (ctx) => crud.list(ctx, await collection(ctx)))
  router.post(path, async (ctx) => crud.create(ctx, await collection(ctx)))
  router.put(path, async (ctx) => crud.put(ctx, await collection(ctx), primaryKey))

  const item = `${path}/:item`
  const where = (ctx: RouterContext, { entity }: Collection): Filter => {
    const name = ctx.params.item as string
    return byAlias ? whereNamed(entity, name) : whereId(name, wrongId)
  }
  for (const [method, handle] of [
    ['get', crud.read],
    ['patch', crud.patch],
    ['delete', crud.remove],
  ] as const) {
    router[method](item, async (ctx) => {
      const rows = await collection(ctx)
      await handle(ctx, rows, where(ctx, rows))
    })
  }
}

/** The id of the row that a path names as owner of others. @throws {Refused} 404 when there is none */
export async function ownerId(store: Store, entity: Entity, name: string | undefined): Promise<string> {
  const row = await store.read(entity, whereNamed(entity, name ?? ''))
  if (!row) throw notFound()
  return row.id as string
}
