// /cluster: who is there, who is to go, and whom to join.
import type { RouterContext } from '@koa/router'
import { describeError } from '../../base/errors.ts'
import { parametersOf } from '../crud.ts'
import { badRequest, notFound } from '../errors.ts'
import { isStorable } from '../parameters.ts'
import { send, sendNothing } from '../reply.ts'
import {
  count,
  jsonAnswer,
  objectOf,
  pathParameter,
  queryParameter,
  type Route,
  type Schema,
  text,
} from '../route.ts'

const states = ['alive', 'leaving', 'left', 'failed']

/** The cluster as this node knows it; the node's own fits. */
export interface ClusterView {
  members(): readonly { readonly name: string; readonly address: string; readonly status: string }[]
  /** How far every node is, asked of each. */
  positions(): Promise<ClusterPositions>
  /** Makes a node leave for good. False when none has the name. */
  forceLeave(name: string): Promise<boolean>
  /** Connects to the node at `ip:port`. @throws with a message for people when that fails */
  joinAt(address: string): Promise<void>
}

export interface ClusterPositions {
  /** Position and digest of the newest event. */
  readonly head: number
  readonly digest: string
  /** Null is what nobody knows. */
  readonly members: readonly {
    readonly name: string
    readonly address: string
    readonly status: string
    readonly applied: number | null
    readonly lag: number | null
    /** Milliseconds since it last was certain to miss nothing. */
    readonly freshnessMs: number | null
    /** Milliseconds of the newest change that came by each path. */
    readonly propagationMs: Readonly<Record<string, number>>
  }[]
}

/** What a member is, wherever one is shown. */
const memberSchema = { name: text, address: text, status: { ...text, enum: states } }

export function clusterRoutes(cluster: ClusterView): readonly Route[] {
  return [membersRoute(cluster), positionsRoute(cluster), ...leaveRoutes(cluster), joinRoute(cluster)]
}

function membersRoute(cluster: ClusterView): Route {
  const data = { type: 'array', items: objectOf(memberSchema) }
  return {
    method: 'get',
    path: '/cluster',
    summary: 'The members of the cluster, as this node knows them',
    parameters: [queryParameter('status', 'only those in this state', { enum: [...states, 'active'] })],
    answers: { 200: jsonAnswer('All at once', objectOf({ data, total: count })) },
    async handle(ctx) {
      const { status } = await parametersOf(ctx)
      // One page of 0.8's documentation calls it active.
      const wanted = status === 'active' ? 'alive' : status
      const data = cluster
        .members()
        .filter((member) => wanted === undefined || member.status === wanted)
        .map(({ name, address, status }) => ({ name, address, status }))
      send(ctx, 200, { data, total: data.length })
    },
  }
}

function positionsRoute(cluster: ClusterView): Route {
  const nullable = (type: string): Schema => ({ type: [type, 'null'], minimum: 0 })
  const member = objectOf({
    ...memberSchema,
    applied: { ...nullable('integer'), description: 'up to where it has applied the log' },
    lag: { ...nullable('integer'), description: 'events that it has not' },
    freshness: { ...nullable('number'), description: 'ms since it was certain to miss nothing' },
    propagation: {
      type: 'object',
      additionalProperties: { type: 'number' },
      description: 'ms that the newest change took on each way',
    },
  })
  const positions = { head: count, digest: text, data: { type: 'array', items: member }, total: count }
  return {
    method: 'get',
    path: '/cluster/positions',
    summary: 'How far every member has applied the log',
    answers: { 200: jsonAnswer('What nobody knows is null', objectOf(positions)) },
    async handle(ctx) {
      const { head, digest, members } = await cluster.positions()
      const data = members.map(({ name, address, status, applied, lag, freshnessMs, propagationMs }) => ({
        ...{ name, address, status, applied, lag },
        freshness: freshnessMs,
        propagation: propagationMs,
      }))
      send(ctx, 200, { head, digest, data, total: data.length })
    },
  }
}

/** By its name in the path, or as in 0.8 in the query or a body. */
function leaveRoutes(cluster: ClusterView): readonly Route[] {
  const forceLeave = async (ctx: RouterContext, name: string): Promise<void> => {
    if (!isStorable(name) || !(await cluster.forceLeave(name))) throw notFound()
    sendNothing(ctx)
  }
  const summary = 'Makes a node leave for good'
  const answers = { 200: { description: 'It has left; this may be repeated' }, 404: 'No node has this name' }
  return [
    {
      method: 'delete',
      path: '/cluster',
      summary,
      parameters: [queryParameter('name', 'of the node; needed, here or in a body', text)],
      answers: { ...answers, 400: 'No name is given' },
      async handle(ctx) {
        const { name } = await parametersOf(ctx)
        if (typeof name !== 'string' || name === '') throw badRequest('Missing node "name"')
        await forceLeave(ctx, name)
      },
    },
    {
      method: 'delete',
      path: '/cluster/nodes/:name',
      summary,
      parameters: [pathParameter('name', 'of the node')],
      answers,
      handle: (ctx) => forceLeave(ctx, ctx.params.name as string),
    },
  ]
}

function joinRoute(cluster: ClusterView): Route {
  const body = objectOf({ address: { ...text, description: '`ip:port` of a node' } })
  return {
    method: 'post',
    path: '/cluster',
    summary: 'Connects this node to another one',
    body: { json: body, form: body },
    answers: {
      200: { description: 'They are connected' },
      400: 'No address is given, or none that a node answers at',
    },
    async handle(ctx) {
      const { address } = await parametersOf(ctx)
      if (typeof address !== 'string' || address === '') throw badRequest('Missing node "address"')
      await cluster.joinAt(address).catch((error) => {
        throw badRequest(describeError(error))
      })
      sendNothing(ctx)
    },
  }
}
