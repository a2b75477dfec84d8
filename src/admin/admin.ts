// The Admin API: a Koa app made from what it needs. It decides who may ask, what a request says and how the
// answer looks; the store decides what is written, and `publish` when the answer may go out (docs/admin-api.md).
import Router from '@koa/router'
import Koa, { type Middleware } from 'koa'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { coreEntities } from '../entities/entities.ts'
import type { Plugin } from '../plugins/plugin.ts'
import { refuseAnnounced } from './body.ts'
import { type CrudOptions, createCrud } from './crud.ts'
import { answerTo, badRequest, methodNotAllowed, noContentType, notFound, unexpected } from './errors.ts'
import { createGuard, type GuardOptions } from './guard.ts'
import { withSpecification } from './openapi.ts'
import { PluginShapes } from './plugin-shapes.ts'
import { send } from './reply.ts'
import type { Route } from './route.ts'
import { apiRoutes } from './routes/apis.ts'
import { cacheRoutes, type NodeCache } from './routes/cache.ts'
import { type ClusterView, clusterRoutes } from './routes/cluster.ts'
import { consumerRoutes } from './routes/consumers.ts'
import { collectionRoutes } from './routes/entity-routes.ts'
import { type EventSources, eventRoutes } from './routes/events.ts'
import { type Information, informationRoutes, type ServerCounters } from './routes/information.ts'
import { metricsRoute } from './routes/metrics.ts'
import { pluginRoutes } from './routes/plugins.ts'

export interface AdminOptions extends CrudOptions, EventSources, Information, GuardOptions {
  /** What this node has, in the order in which it is shown. */
  readonly plugins: readonly Plugin[]
  readonly cache: NodeCache
  readonly cluster: ClusterView
  /** What the node counts and measures, in Prometheus' text format. */
  readonly metrics: () => Promise<string>
  readonly clock: Clock
}

/**
 * Makes the app; its owner puts `app.callback()` behind a listener.
 * @throws {AdminExposed} when the listener can be reached by other machines and there is no token
 */
export function createAdmin(options: AdminOptions): Koa {
  const app = new Koa()
  app.use(nameServer(options.version))
  app.use(nameRequest(options.random))
  app.use(answerErrors(options))
  app.use(createGuard(options))
  app.use(answerRobots)
  app.use(requireContentType)
  app.use(readWait)
  app.use(route(createRouter(options)))
  // What fails after the answer began, e.g. a client that hangs up.
  app.on('error', (error) => options.logger.debug('an answer was cut short', { error }))
  return app
}

/** Dispatches to every route that there is. */
export function createRouter(options: AdminOptions): Router {
  const router = new Router({ sensitive: true })
  for (const { method, path, handle } of routesOf(options)) router[method](path, handle)
  return router
}

function routesOf(options: AdminOptions): readonly Route[] {
  const { store, plugins, version, tokens } = options
  const tools = { store, crud: createCrud(options) }
  const shapes = new PluginShapes(plugins)
  const pluginEntities = plugins.flatMap(({ entities }) => entities)
  const entities = [...coreEntities, ...pluginEntities]
  const routes = [
    ...informationRoutes(tools, options, plugins, entities),
    ...apiRoutes(tools, shapes),
    ...consumerRoutes(tools, plugins, shapes),
    ...pluginEntities.flatMap((entity) => collectionRoutes(tools, entity)),
    ...pluginRoutes(tools, plugins, shapes),
    ...cacheRoutes(options.cache),
    ...clusterRoutes(options.cluster),
    ...eventRoutes(options, entities, shapes),
    metricsRoute(options.metrics),
  ]
  const routed = [...coreEntities, ...pluginEntities.filter(({ owner, collection }) => owner || collection)]
  return withSpecification(routes, { version, isGuarded: tokens.length > 0, entities: routed, plugins })
}

function nameServer(version: string): Middleware {
  return (ctx, next) => {
    ctx.set('Server', `troop/${version}`)
    return next()
  }
}

/** Each request has an id, its client's own if that is one, by which its answer and its lines in the log are found. */
function nameRequest(random: Random): Middleware {
  return (ctx, next) => {
    const given = ctx.get('X-Request-ID')
    ctx.state.requestId = /^[\w.:-]{1,128}$/.test(given) ? given : random.uuid()
    ctx.set('X-Request-ID', ctx.state.requestId)
    return next()
  }
}

/** Errors that were meant for the client become its answer; the others are logged in full and told as nothing. */
function answerErrors({ logger, clock }: AdminOptions): Middleware {
  return async (ctx, next) => {
    const start = clock.monotonic()
    try {
      await next()
    } catch (error) {
      const answer = answerTo(error, !['GET', 'HEAD'].includes(ctx.method))
      if (!answer || answer.status === 503) {
        const { requestId } = ctx.state
        logger.error('an admin request failed', { method: ctx.method, path: ctx.path, requestId, error })
      }
      const { status, body, headers = {} } = answer ?? unexpected
      ctx.set(headers)
      send(ctx, status, body)
    }
    const ms = Math.round(clock.monotonic() - start)
    const { requestId, caller } = ctx.state
    const line = { method: ctx.method, path: ctx.path, status: ctx.status, ms, requestId, caller }
    logger.debug('admin request answered', line)
  }
}

const answerRobots: Middleware = (ctx, next) => {
  if (!ctx.path.startsWith('/robots.txt')) return next()
  ctx.type = 'text/plain'
  ctx.body = 'User-agent: *\nDisallow: /\n'
  return undefined
}

/** Before routing, as in 0.8: a request that says nothing about its body is wrong wherever it goes. */
const requireContentType: Middleware = (ctx, next) => {
  const needed = !['GET', 'HEAD', 'DELETE'].includes(ctx.method)
  if (needed && ctx.get('Content-Type').trim() === '') throw noContentType()
  return next()
}

/** For how long a write is to wait for other nodes: looked at before anything is written. */
const readWait: Middleware = (ctx, next) => {
  const asked = ctx.get('X-Troop-Wait').trim().toLowerCase()
  if (asked !== '' && asked !== 'all' && asked !== 'none' && !/^\d+$/.test(asked)) {
    throw badRequest(
      `X-Troop-Wait: expected all, none or a number of milliseconds, got "${asked.slice(0, 40)}"`,
    )
  }
  const waitMs = asked === 'none' ? 0 : Number.parseInt(asked, 10)
  ctx.state.waitMs = Number.isNaN(waitMs) ? Number.POSITIVE_INFINITY : waitMs
  return next()
}

/** Dispatches; a path that is there but not for this method is a 405, before any look at the datastore. */
function route(router: Router): Middleware {
  const dispatch = router.routes() as unknown as Middleware
  return (ctx, next) => {
    const layers = router.match(ctx.path, ctx.method).path
    const [first] = layers
    if (!first) throw notFound()
    // Of several patterns that match, `/plugins/enabled` and `/plugins/:item`, the first one decides.
    const allowed = layers.filter(({ path }) => path === first.path).flatMap(({ methods }) => methods)
    if (ctx.method === 'HEAD' && !allowed.includes('HEAD')) return send(ctx, 200, {})
    if (!allowed.includes(ctx.method)) throw methodNotAllowed(allowed)
    refuseAnnounced(ctx.req)
    return dispatch(ctx, next)
  }
}

export type { NodeCache, ServerCounters }
