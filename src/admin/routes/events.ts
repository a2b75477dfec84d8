// /cluster/events: the log of all changes, for people.
import type { RouterContext } from '@koa/router'
import type { Entity } from '../../entities/define.ts'
import { addressOf, parametersOf } from '../crud.ts'
import {
  type EventQuery,
  nextEventsUrl,
  operations,
  parseEventQuery,
  parsePosition,
  sizeDefault,
  sizeMax,
} from '../event-query.ts'
import type { EventStreams } from '../event-streams.ts'
import type { LogView } from '../log-view.ts'
import type { PluginShapes } from '../plugin-shapes.ts'
import { nodesTable, Redaction } from '../redaction.ts'
import { send, sendNothing } from '../reply.ts'
import {
  count,
  headerParameter,
  jsonType,
  objectOf,
  queryParameter,
  type Route,
  text,
  truth,
} from '../route.ts'

export interface EventSources {
  readonly log: LogView
  readonly streams: EventStreams
}

export function eventRoutes(
  { log, streams }: EventSources,
  entities: readonly Entity[],
  shapes: PluginShapes,
): readonly Route[] {
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

  const wordsOf = (words: readonly string[]) => ({ ...text, enum: words })
  return [
    {
      method: 'get',
      path: '/cluster/events',
      summary: 'The log: every change, in order',
      parameters: [
        queryParameter('since', 'only events after this position', count),
        queryParameter('size', 'events a page', { ...count, maximum: sizeMax, default: sizeDefault }),
        queryParameter('entity', 'only events of this collection', wordsOf(names)),
        queryParameter('operation', 'only events of this kind', wordsOf(operations)),
        headerParameter('Last-Event-ID', 'of a stream: goes before `since`', count),
      ],
      answers: {
        200: {
          description: 'A page of events; or, where Accept asks for it, a stream of them that does not end',
          content: { [jsonType]: pageSchema, 'text/event-stream': text },
        },
        400: 'A parameter is unknown or wrong',
        503: 'The datastore is away, or too many streams are open',
      },
      async handle(ctx) {
        const query = parseEventQuery(await parametersOf(ctx), names)
        ctx.vary('Accept')
        const wanted = ctx.method === 'GET' && ctx.accepts('application/json', 'text/event-stream')
        if (wanted === 'text/event-stream') stream(ctx, query)
        else await sendPage(ctx, query)
      },
    },
    ofAgents,
  ]
}

/** What 0.8's agents told their node. Events travel by other ways now, and nobody is believed who says one here. */
const ofAgents: Route = {
  method: 'post',
  path: '/cluster/events',
  summary: 'Does nothing; agents of 0.8 told their node here what had happened',
  body: { json: { type: 'object' }, form: { type: 'object' } },
  answers: { 200: { description: 'Nothing happened' } },
  handle: sendNothing,
}

const image = { type: ['object', 'null'], description: 'the row, secrets as `******`' }
const eventSchema = {
  ...objectOf({
    position: count,
    first: { ...count, description: "position of its transaction's first event" },
    at: { ...count, description: 'milliseconds since 1970' },
    entity: text,
    operation: text,
    actor: { type: ['string', 'null'], description: 'who did it, as far as the writer said' },
    schema: count,
    old: image,
    new: image,
  }),
  description: 'An update has `changed`, too: the names of the columns that changed',
}
const pageSchema = {
  type: 'object',
  required: ['data', 'head', 'first_kept'],
  properties: {
    data: { type: 'array', items: eventSchema },
    head: { ...count, description: 'position of the newest event' },
    first_kept: { ...count, description: 'position of the oldest that is kept' },
    pruned: { ...truth, description: 'true when events after `since` are not kept any more' },
    next: { ...text, format: 'uri', description: 'the next page; absent at the head' },
  },
}
