// /metrics: the node's numbers, for Prometheus.
import { type Route, text } from '../route.ts'

/** Of Prometheus' text format, which its servers of all ages read. */
const contentType = 'text/plain; version=0.0.4; charset=utf-8'

/** @param metrics  the text as it is now */
export function metricsRoute(metrics: () => Promise<string>): Route {
  return {
    method: 'get',
    path: '/metrics',
    summary: 'All that the node counts and measures, for Prometheus',
    answers: { 200: { description: "In Prometheus' text format", content: { [contentType]: text } } },
    async handle(ctx) {
      ctx.set('Content-Type', contentType)
      ctx.body = await metrics()
    },
  }
}
