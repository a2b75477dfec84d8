// What a node says about itself: / and /status.
import type { JsonObject } from '../../base/json.ts'
import type { Entity } from '../../entities/define.ts'
import { plugin } from '../../entities/plugin.ts'
import type { Plugin } from '../../plugins/plugin.ts'
import type { Store } from '../../store/store.ts'
import { send } from '../reply.ts'
import { count, jsonAnswer, objectOf, type Route, type Schema, text, truth } from '../route.ts'
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

export function informationRoutes(
  { store }: RouteTools,
  information: Information,
  plugins: readonly Plugin[],
  entities: readonly Entity[],
): readonly Route[] {
  return [
    nodeRoute(store, information, plugins),
    ...probeRoutes(information),
    statusRoute(store, information, entities),
  ]
}

function nodeRoute(store: Store, information: Information, plugins: readonly Plugin[]): Route {
  const { version, hostname, configuration } = information
  const names: Schema = { type: 'array', items: text }
  const node = objectOf({
    tagline: text,
    version: { ...text, description: "the API's level" },
    troop: objectOf({ version: text }),
    hostname: text,
    lua_version: text,
    timers: objectOf({ running: count, pending: count }),
    plugins: objectOf({ available_on_server: names, enabled_in_cluster: names }),
    configuration: { type: 'object', description: 'what is in effect, secrets masked' },
  })
  return {
    method: 'get',
    path: '/',
    summary: 'What this node is',
    answers: { 200: jsonAnswer('The node', node), 503: 'The datastore is away' },
    async handle(ctx) {
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
    },
  }
}

/** The first says that the process answers, the second that traffic may be sent to it. */
function probeRoutes({ health }: Information): readonly Route[] {
  const schema = objectOf({
    ready: truth,
    workers: objectOf({ running: count, wanted: count }),
    datastore: objectOf({ reachable: truth }),
    position: { type: ['integer', 'null'], minimum: 0, description: 'what is applied of the log' },
  })
  const ready = objectOf({ ready: truth })
  return [
    {
      method: 'get',
      path: '/health',
      summary: 'Whether the process answers, and what it is like',
      isOpen: true,
      answers: { 200: jsonAnswer('It does', schema) },
      handle: (ctx) => send(ctx, 200, { ...health() }),
    },
    {
      method: 'get',
      path: '/ready',
      summary: 'Whether traffic may be sent to this node',
      isOpen: true,
      answers: { 200: jsonAnswer('It may', ready), 503: jsonAnswer('It may not', ready) },
      handle(ctx) {
        const { ready } = health()
        send(ctx, ready ? 200 : 503, { ready })
      },
    },
  ]
}

function statusRoute(store: Store, { status, countNodes }: Information, entities: readonly Entity[]): Route {
  const collections = [...entities.map(({ name }) => name), 'nodes']
  const countsOf = (names: readonly string[]) =>
    objectOf(Object.fromEntries(names.map((name) => [name, count])))
  const schema = objectOf({ server: countsOf(Object.keys(status())), database: countsOf(collections) })
  return {
    method: 'get',
    path: '/status',
    summary: 'Connections and requests of this node, rows of each collection',
    answers: { 200: jsonAnswer('Counts', schema), 503: 'The datastore is away' },
    async handle(ctx) {
      const counts = entities.map(async (entity) => [entity.name, await store.count(entity)] as const)
      const nodes = countNodes()
      const database = Object.fromEntries([...(await Promise.all(counts)), ['nodes', await nodes]])
      send(ctx, 200, { server: { ...status() }, database })
    },
  }
}
