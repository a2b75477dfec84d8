// /consumers, and what plugins keep for one of them: keys, passwords, groups.
import { consumer } from '../../entities/consumer.ts'
import type { Entity } from '../../entities/define.ts'
import { addEntityRoutes, ownerId, type RouteTools } from './entity-routes.ts'

/** @param owned  entities of plugins; those with an owner get routes under their consumer */
export function addConsumerRoutes(tools: RouteTools, owned: readonly Entity[]): void {
  addEntityRoutes(tools, {
    path: '/consumers',
    byAlias: true,
    collection: () => ({ entity: consumer, scope: {} }),
  })
  for (const entity of owned) {
    const owner = entity.owner
    if (!owner) continue
    addEntityRoutes(tools, {
      path: `/consumers/:consumer/${owner.path}`,
      wrongId: owner.wrongId,
      async collection(ctx) {
        return {
          entity,
          scope: { [owner.column]: await ownerId(tools.store, consumer, ctx.params.consumer) },
        }
      },
    })
  }
}
