// What clients change and ask for: each register has one value at a time, and never the same one twice.
import type { JsonObject } from '../../../src/base/json.ts'
import { systemRandom } from '../../../src/base/random.ts'
import type { Answer, Committed } from './history.ts'

/** Something with one value at a time, which proxied requests show. */
export interface Register {
  readonly name: string
  /** The request to the Admin API that gives it a value; missing if no client does. */
  change?(value: string): { readonly path: string; readonly body: JsonObject }
  /** What to ask the proxy for, when these were its newest values. */
  target(newest: string, before: string): string
  /** What an answer to `target` says. */
  read(target: string, status: number, body: string): Pick<Answer, 'shown' | 'denied'>
}
/** With the values that they have at first. */
export const firstKeys = { steady: 'steady-0', rotating: 'rotated-0' }

/** On these a status other than 200 is a failure: what they take is in memory. */
export const cachedRoutes: readonly string[] = ['open', 'guarded', 'sql']

/** Two routes whose upstream changes, the second with a key that stays; a key that changes; a route changed by SQL. */
export function registersOn(upstream: string, rotating: string): readonly Register[] {
  const route = (name: string, query = ''): Register => ({
    name,
    target: () => `/${name}${query}`,
    change: (value) => ({ path: `/apis/${name}`, body: { upstream_url: `${upstream}/${value}` } }),
    read: (_, status, body) => ({ shown: status === 200 ? /^\/([\w-]+)/.exec(body)?.[1] : undefined }),
  })
  const { change: _, ...bySql } = route('sql')
  return [
    route('open'),
    route('guarded', `?apikey=${firstKeys.steady}`),
    {
      name: 'rotated',
      // The one before, to see that it is refused, as often as the newest.
      target: (newest, before) => `/rotated?apikey=${systemRandom.fraction() < 0.5 ? newest : before}`,
      change: (value) => ({ path: `/consumers/rotating/key-auth/${rotating}`, body: { key: value } }),
      read: (target, status) => {
        const key = target.split('=')[1]
        return status === 200 ? { shown: key } : status === 403 ? { denied: key } : {}
      },
    },
    bySql,
  ]
}

/** All values of all registers, as rows of the log have them. */
export function committedOf(
  rows: readonly { readonly position: string; readonly body: string }[],
): Committed[] {
  return rows.flatMap(({ position, body }) => {
    const { entity, new: row } = JSON.parse(body) as { entity: string; new: JsonObject | null }
    const value =
      entity === 'keyauth_credentials'
        ? row?.key
        : entity === 'apis' && row?.name !== 'rotated'
          ? String(row?.upstream_url).split('/').at(-1)
          : undefined
    const register = /^(open|guarded|rotated|sql)-/.exec(String(value))?.[1]
    return register === undefined ? [] : [{ register, value: String(value), position: Number(position) }]
  })
}
