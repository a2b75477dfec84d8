// /cluster: who is there, who is to go, and whom to join.
import type { RouterContext } from '@koa/router'
import { describeError } from '../../base/errors.ts'
import { parametersOf } from '../crud.ts'
import { badRequest, notFound } from '../errors.ts'
import { isStorable } from '../parameters.ts'
import { send } from '../reply.ts'
import type { RouteTools } from './entity-routes.ts'

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

export function addClusterRoutes({ router }: RouteTools, cluster: ClusterView): void {
  router.get('/cluster', async (ctx) => {
    const { status } = await parametersOf(ctx)
    // One page of 0.8's documentation calls it active.
    const wanted = status === 'active' ? 'alive' : status
    const data = cluster
      .members()
      .filter((member) => wanted === undefined || member.status === wanted)
      .map(({ name, address, status }) => ({ name, address, status }))
    send(ctx, 200, { data, total: data.length })
  })

  router.get('/cluster/positions', async (ctx) => {
    const { head, digest, members } = await cluster.positions()
    const data = members.map(({ name, address, status, applied, lag, freshnessMs, propagationMs }) => ({
      ...{ name, address, status, applied, lag },
      freshness: freshnessMs,
      propagation: propagationMs,
    }))
    send(ctx, 200, { head, digest, data, total: data.length })
  })

  const forceLeave = async (ctx: RouterContext, name: string): Promise<void> => {
    if (!isStorable(name) || !(await cluster.forceLeave(name))) throw notFound()
    ctx.status = 200
    ctx.body = ''
  }

  router.delete('/cluster', async (ctx) => {
    const { name } = await parametersOf(ctx)
    if (typeof name !== 'string' || name === '') throw badRequest('Missing node "name"')
    await forceLeave(ctx, name)
  })

  router.delete('/cluster/nodes/:name', (ctx) => forceLeave(ctx, ctx.params.name as string))

  router.post('/cluster', async (ctx) => {
    const { address } = await parametersOf(ctx)
    if (typeof address !== 'string' || address === '') throw badRequest('Missing node "address"')
    await cluster.joinAt(address).catch((error) => {
      throw badRequest(describeError(error))
    })
    ctx.status = 200
    ctx.body = ''
  })
}
