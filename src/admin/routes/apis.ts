// /apis, and the plugins configured for one of them.
import { api } from '../../entities/api.ts'
import { plugin } from '../../entities/plugin.ts'
import type { PluginShapes } from '../plugin-shapes.ts'
import { addEntityRoutes, ownerId, type RouteTools } from './entity-routes.ts'

export function addApiRoutes(tools: RouteTools, shapes: PluginShapes): void {
  addEntityRoutes(tools, { path: '/apis', byAlias: true, collection: () => ({ entity: api, scope: {} }) })
  addEntityRoutes(tools, {
    path: '/apis/:api/plugins',
    primaryKey: ['id', 'name'],
    async collection(ctx) {
      const scope = { api_id: await ownerId(tools.store, api, ctx.params.api) }
      return { entity: plugin, scope, shapeOf: shapes.shapeOf }
    },
  })
}
