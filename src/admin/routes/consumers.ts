// /consumers, and what plugins keep for one of them: keys, passwords, groups.
import { consumer } from '../../entities/consumer.ts'
import type { Entity } from '../../entities/define.ts'
import type { Route } from '../route.ts'
import { entityRoutes, type RouteTools } from './entity-routes.ts'

/** @param entities  of plugins; those with an owner get routes under their consumer */
export function consumerRoutes(tools: RouteTools, entities: readonly Entity[]): readonly Route[] {
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
    ...owned,
  ]
}
