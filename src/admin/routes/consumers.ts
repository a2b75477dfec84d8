// /consumers, and what plugins keep for one of them: keys, passwords, groups.
import { consumer } from '../../entities/consumer.ts'
import { plugin } from '../../entities/plugin.ts'
import type { Plugin } from '../../plugins/plugin.ts'
import type { PluginShapes } from '../plugin-shapes.ts'
import type { Route } from '../route.ts'
import { entityRoutes, type RouteTools } from './entity-routes.ts'

/** The entities of plugins that have an owner get routes under their consumer. */
export function consumerRoutes(
  tools: RouteTools,
  plugins: readonly Plugin[],
  { shapeOf }: PluginShapes,
): readonly Route[] {
  const entities = plugins.flatMap(({ entities }) => entities)
  const forConsumers = plugins.filter(({ perConsumer }) => perConsumer).map(({ name }) => name)
  const owned = entities.flatMap((entity) => {
    const { owner } = entity
    if (!owner) return []
    return entityRoutes(tools, {
      path: `/consumers/:consumer/${owner.path}`,
      entity,
      within: { parameter: 'consumer', owner: consumer, column: owner.column },
      wrongId: owner.wrongId,
    })
  })
  return [
    ...entityRoutes(tools, { path: '/consumers', entity: consumer, item: 'consumer', byAlias: true }),
    ...entityRoutes(tools, {
      path: '/consumers/:consumer/plugins',
      entity: plugin,
      shapeOf,
      within: { parameter: 'consumer', owner: consumer, column: 'consumer_id' },
      primaryKey: ['id', 'name'],
      rule: { properties: { name: { enum: forConsumers } } },
    }),
    ...owned,
  ]
}
