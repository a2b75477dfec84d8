// /apis, and the plugins configured for one of them.
import { api } from '../../entities/api.ts'
import { plugin } from '../../entities/plugin.ts'
import type { PluginShapes } from '../plugin-shapes.ts'
import type { Route } from '../route.ts'
import { entityRoutes, type RouteTools } from './entity-routes.ts'

export function apiRoutes(tools: RouteTools, { shapeOf }: PluginShapes): readonly Route[] {
  return [
    ...entityRoutes(tools, { path: '/apis', entity: api, item: 'api', byAlias: true }),
    ...entityRoutes(tools, {
      path: '/apis/:api/plugins',
      entity: plugin,
      shapeOf,
      within: { parameter: 'api', owner: api, column: 'api_id' },
      primaryKey: ['id', 'name'],
    }),
  ]
}
