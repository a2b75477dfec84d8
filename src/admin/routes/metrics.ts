// /metrics: the node's numbers, for Prometheus.
import type { RouteTools } from './entity-routes.ts'

/** Of Prometheus' text format, which its servers of all ages read. */
const contentType = 'text/plain; version=0.0.4; charset=utf-8'

/** @param metrics  the text as it is now */
export function addMetricsRoute({ router }: RouteTools, metrics: () => Promise<string>): void {
  router.get('/metrics', async (ctx) => {
    ctx.set('Content-Type', contentType)
    ctx.body = await metrics()
  })
}
