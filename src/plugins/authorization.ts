// The headers in which a client says who it is and proves it, tried in turn.
import type { Row } from '../base/json.ts'
import { andThen, type PluginRequest } from './plugin.ts'

type Found = Row | null | Promise<Row | null>

const names = ['Proxy-Authorization', 'Authorization'] as const

export function hasAuthorization({ headers }: PluginRequest): boolean {
  return headers.has(names[0]) || headers.has(names[1])
}

/**
 * The credential that a header shows, the first of them that shows one. A header that is given several times shows
 * none: the upstream might read another one of them.
 *
 * @param isHidden  whether each header that is looked at is removed, so that it reaches neither the upstream nor a
 *                  log, whatever becomes of the request
 * @param judge     the credential that a value proves, or null
 */
export function shownCredential(
  { headers }: PluginRequest,
  isHidden: boolean,
  judge: (value: string) => Found,
): Found {
  const from = (i: number): Found => {
    const name = names[i]
    if (name === undefined) return null
    const values = headers.all(name)
    const value = values[0]
    if (isHidden) headers.remove(name)
    if (value === undefined || values.length > 1) return from(i + 1)
    return andThen(judge(value), (credential) => credential ?? from(i + 1))
  }
  return from(0)
}
