// /cache: what this node holds in memory, to look at and to forget.
import { isObject, type Json, type JsonObject, type Row } from '../../base/json.ts'
import { api } from '../../entities/api.ts'
import { toReply } from '../../entities/reply.ts'
import { notFound } from '../errors.ts'
import { send } from '../reply.ts'
import { jsonAnswer, pathParameter, type Route } from '../route.ts'

/** The router's view of all APIs has a key of its own. */
export const allApisKey = 'ALL_APIS_BY_DIC'

/** The node's cache as the Admin API sees it; the catalog, adapted. Keys are those of 0.8 (docs/admin-api.md). */
export interface NodeCache {
  /** What is cached under `key`, a row or a list of rows; undefined where nothing is, or an absence. */
  read(key: string): Json | undefined
  /** All APIs as the router has them; undefined from a purge or drop of its key until a request was routed. */
  apis(): readonly Row[] | undefined
  /** Forgets `key`, which may be `ALL_APIS_BY_DIC`; resolves when no thread of this node serves it any more. */
  drop(key: string): void | Promise<void>
  purge(): void | Promise<void>
}

export function cacheRoutes(cache: NodeCache): readonly Route[] {
  const key = pathParameter('key', 'e.g. `consumers:<id>` or `ALL_APIS_BY_DIC`')
  return [
    {
      method: 'delete',
      path: '/cache',
      summary: 'Forgets all that this node holds in memory',
      answers: { 204: { description: 'Nothing of it is served any more' } },
      async handle(ctx) {
        await cache.purge()
        ctx.status = 204
      },
    },
    {
      method: 'get',
      path: '/cache/:key',
      summary: 'What this node holds under a key',
      parameters: [key],
      answers: {
        200: jsonAnswer('A row, a list of rows, or the table of all APIs', { type: ['object', 'array'] }),
        404: 'Nothing is held, or that there is nothing',
      },
      handle(ctx) {
        const key = ctx.params.key as string
        const value = key === allApisKey ? allApis(cache.apis()) : cache.read(key)
        if (value == null) throw notFound()
        // A bare number or text has no place in an answer of ours; 0.8 wrapped it like this.
        send(ctx, 200, typeof value === 'object' ? withoutNulls(value) : { message: value })
      },
    },
    {
      method: 'delete',
      path: '/cache/:key',
      summary: 'Forgets what this node holds under a key',
      parameters: [key],
      answers: { 204: { description: 'It is not served any more, if it was held' } },
      async handle(ctx) {
        await cache.drop(ctx.params.key as string)
        ctx.status = 204
      },
    },
  ]
}

/** Attributes that are unset are left out, here as everywhere. */
function withoutNulls(value: JsonObject | readonly Json[]): JsonObject | readonly Json[] {
  if (Array.isArray(value))
    return value.map((each) => (isObject(each) ? withoutNulls(each) : each)) as readonly Json[]
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null))
}

/** 0.8's table: exact hosts by name, paths from the longest, wildcard hosts with their Lua pattern. */
function allApis(rows: readonly Row[] | undefined): JsonObject | undefined {
  if (rows === undefined) return undefined
  const all = rows.map((row) => toReply(api, row))
  const hosts = all.filter(({ request_host }) => typeof request_host === 'string')
  const isWildcard = ({ request_host }: JsonObject) => String(request_host).includes('*')
  const paths = all.filter(({ request_path }) => typeof request_path === 'string')
  const length = ({ request_path }: JsonObject) => String(request_path).length
  return {
    by_dns: Object.fromEntries(hosts.filter((row) => !isWildcard(row)).map((row) => [row.request_host, row])),
    request_path_arr: paths
      .sort((one, other) => length(other) - length(one))
      .map((row) => ({
        request_path: row.request_path as string,
        strip_request_path_pattern: escapeLua(String(row.request_path)),
        api: row,
      })),
    wildcard_dns_arr: hosts
      .filter(isWildcard)
      .map((row) => ({ pattern: `^${escapeLua(String(row.request_host)).replace('%*', '.+')}$`, api: row })),
  }
}

function escapeLua(text: string): string {
  return text.replace(/[().%+\-*?[\]^$]/g, '%$&')
}
