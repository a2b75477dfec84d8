// /plugins: configurations over all APIs, and what this node has to offer.
import { plugin } from '../../entities/plugin.ts'
import { describeSchema } from '../../entities/schema.ts'
import type { Plugin } from '../../plugins/plugin.ts'
import { Refused } from '../errors.ts'
import type { PluginShapes } from '../plugin-shapes.ts'
import { send } from '../reply.ts'
import { addEntityRoutes, type RouteTools } from './entity-routes.ts'

export function addPluginRoutes(
  tools: RouteTools,
  plugins: readonly Plugin[],
  { shapeOf }: PluginShapes,
): void {
  const { router } = tools
  // Before /plugins/:item, which would take these words for an id.
  router.get('/plugins/enabled', (ctx) => {
    send(ctx, 200, { enabled_plugins: plugins.map(({ name }) => name) })
  })
  router.get('/plugins/schema/:name', (ctx) => {
    const definition = plugins.find(({ name }) => name === ctx.params.name)
    if (!definition) throw new Refused(404, `No plugin named '${ctx.params.name}'`)
    const { perConsumer, checkConfig, config } = definition
    send(ctx, 200, {
      ...(perConsumer ? {} : { no_consumer: true }),
      fields: describeSchema(config),
      ...(checkConfig ? { self_check: 'function' } : {}),
    })
  })
  addEntityRoutes(tools, {
    path: '/plugins',
    primaryKey: ['id', 'name'],
    collection: () => ({ entity: plugin, scope: {}, shapeOf }),
  })
}
