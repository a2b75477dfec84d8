// /cluster/events: the log of all changes, for people.
import type { RouterContext } from '@koa/router'
import type { Entity } from '../../entities/define.ts'
import { addressOf, parametersOf } from '../crud.ts'
import { type EventQuery, nextEventsUrl, parseEventQuery, parsePosition } from '../event-query.ts'
import type { EventStreams } from '../event-streams.ts'
import type { LogView } from '../log-view.ts'
import type { PluginShapes } from '../plugin-shapes.ts'
import { nodesTable, Redaction } from '../redaction.ts'
import { send } from '../reply.ts'
import type { RouteTools } from './entity-routes.ts'

export interface EventSources {
  readonly log: LogView
  readonly streams: EventStreams
}

export function addEventRoutes(
  { router }: RouteTools,
  { log, streams }: EventSources,
  entities: readonly Entity[],
  shapes: PluginShapes,
): void {
  const redaction = new Redaction(entities, shapes)
  const logged = entities.filter(({ logged = true }) => logged).map(({ name }) => name)
  const names = [...logged, nodesTable, 'log']

  const sendPage = async (ctx: RouterContext, query: EventQuery): Promise<void> => {
    const { since, size, filter } = query
    const { events, until, head, firstKept } = await log.read({ ...filter, after: since ?? -1, size })
    const isPruned = since !== undefined && since < firstKept - 1
    const hasNext = size > 0 && until < head.position
    send(ctx, 200, {
      data: events.map((event) => redaction.show(event)),
      head: head.position,
      first_kept: firstKept,
      ...(isPruned && { pruned: true }),
      ...(hasNext && { next: nextEventsUrl(addressOf(ctx), query, until) }),
    })
  }

  const stream = (ctx: RouterContext, { since, filter }: EventQuery): void => {
    const last = ctx.get('Last-Event-ID').trim()
    streams.open({
      response: ctx.res,
      client: ctx.ip,
      // A client that was cut off asks by the same URL again, and by the header for where it was.
      since: last === '' ? since : parsePosition('Last-Event-ID', last),
      filter,
      show: (event) => redaction.show(event),
      log,
    })
    ctx.respond = false
  }

  router.get('/cluster/events', async (ctx) => {
    const query = parseEventQuery(await parametersOf(ctx), names)
    ctx.vary('Accept')
    const wanted = ctx.method === 'GET' && ctx.accepts('application/json', 'text/event-stream')
    if (wanted === 'text/event-stream') stream(ctx, query)
    else await sendPage(ctx, query)
  })

  // What 0.8's agents told their node. Events travel by other ways now, and nobody is believed who says one here.
  router.post('/cluster/events', (ctx) => {
    ctx.status = 200
    ctx.body = ''
  })
}
