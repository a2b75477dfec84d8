// /plugins: configurations over all APIs, and what this node has to offer.
import { plugin } from '../../entities/plugin.ts'
import { describeSchema } from '../../entities/schema.ts'
import type { Plugin } from '../../plugins/plugin.ts'
import { Refused } from '../errors.ts'
import type { PluginShapes } from '../plugin-shapes.ts'
import { send } from '../reply.ts'
import { jsonAnswer, objectOf, pathParameter, type Route, text, truth } from '../route.ts'
import { entityRoutes, type RouteTools } from './entity-routes.ts'

export function pluginRoutes(
  tools: RouteTools,
  plugins: readonly Plugin[],
  { shapeOf }: PluginShapes,
): readonly Route[] {
  // Before /plugins/:id, which would take these words for an id.
  return [
    enabledRoute(plugins),
    schemaRoute(plugins),
    ...entityRoutes(tools, { path: '/plugins', entity: plugin, shapeOf, primaryKey: ['id', 'name'] }),
  ]
}

function enabledRoute(plugins: readonly Plugin[]): Route {
  const enabled_plugins = plugins.map(({ name }) => name)
  return {
    method: 'get',
    path: '/plugins/enabled',
    summary: 'Names of the plugins that this node has',
    answers: {
      200: jsonAnswer('All of them', objectOf({ enabled_plugins: { type: 'array', items: text } })),
    },
    handle: (ctx) => send(ctx, 200, { enabled_plugins }),
  }
}

function schemaRoute(plugins: readonly Plugin[]): Route {
  const description: Route['answers'][number] = jsonAnswer('What is code reads "function"', {
    type: 'object',
    required: ['fields'],
    properties: { no_consumer: truth, fields: { type: 'object' }, self_check: text },
  })
  return {
    method: 'get',
    path: '/plugins/schema/:name',
    summary: "What a plugin's configuration may hold",
    parameters: [pathParameter('name', 'of a plugin that this node has')],
    answers: { 200: description, 404: 'This node has no plugin of this name' },
    handle(ctx) {
      const definition = plugins.find(({ name }) => name === ctx.params.name)
      if (!definition) throw new Refused(404, `No plugin named '${ctx.params.name}'`)
      const { perConsumer, checkConfig, config } = definition
      send(ctx, 200, {
        ...(perConsumer ? {} : { no_consumer: true }),
        fields: describeSchema(config),
        ...(checkConfig ? { self_check: 'function' } : {}),
      })
    },
  }
}
