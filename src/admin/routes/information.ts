// What a node says about itself: / and /status.
import type { JsonObject } from '../../base/json.ts'
import type { Entity } from '../../entities/define.ts'
import { plugin } from '../../entities/plugin.ts'
import type { Plugin } from '../../plugins/plugin.ts'
import { send } from '../reply.ts'
import type { RouteTools } from './entity-routes.ts'

/** The API that clients test for. It stays, whatever Troop's own version is. */
const apiVersion = '0.8.3'

/** Connections of the node's proxy listeners, and requests since it started, in 0.8's words. */
export interface ServerCounters {
  readonly connections_active: number
  readonly connections_reading: number
  readonly connections_writing: number
  readonly connections_waiting: number
  readonly connections_accepted: number
  readonly connections_handled: number
  readonly total_requests: number
}

export interface Information {
  /** Of Troop, e.g. `0.1.0`. */
  readonly version: string
  readonly hostname: string
  /** The effective configuration, secrets masked. */
  readonly configuration: JsonObject
  readonly status: () => ServerCounters
  /** Nodes in the datastore that have not left. */
  readonly countNodes: () => Promise<number>
  /** What whoever sends traffic here wants to know. */
  readonly health: () => Health
}

export interface Health {
  /** It has loaded, and is not leaving. Says nothing of the datastore: what is known is served without it. */
  readonly ready: boolean
  /** `hanging` are threads that nothing can end; they keep their connections. */
  readonly workers: { readonly running: number; readonly wanted: number; readonly hanging: number }
  readonly datastore: { readonly reachable: boolean }
  /** What is applied of the log; null before the first load. */
  readonly position: number | null
}

export function addInformationRoutes(
  { router, store }: RouteTools,
  information: Information,
  plugins: readonly Plugin[],
  entities: readonly Entity[],
): void {
  const { version, hostname, configuration } = information
  router.get('/', async (ctx) => {
    send(ctx, 200, {
      tagline: 'Welcome to kong',
      version: apiVersion,
      troop: { version },
      hostname,
      // Clients show it as the runtime's version, which it is.
      lua_version: `Node.js ${process.versions.node}`,
      timers: {
        running: 0,
        pending: process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length,
      },
      plugins: {
        available_on_server: plugins.map(({ name }) => name),
        enabled_in_cluster: [...(await store.distinct(plugin, 'name'))],
      },
      configuration,
    })
  })

  // For probes: the first says that the process answers, the second that traffic may be sent to it.
  router.get('/health', (ctx) => send(ctx, 200, { ...information.health() }))
  router.get('/ready', (ctx) => {
    const { ready } = information.health()
    send(ctx, ready ? 200 : 503, { ready })
  })

  router.get('/status', async (ctx) => {
    const counts = entities.map(async (entity) => [entity.name, await store.count(entity)] as const)
    const nodes = information.countNodes()
    const database = Object.fromEntries([...(await Promise.all(counts)), ['nodes', await nodes]])
    send(ctx, 200, { server: { ...information.status() }, database })
  })
}
