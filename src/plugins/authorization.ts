// The headers in which a client says who it is and proves it, tried in turn.
import type { Row } from '../base/json.ts'
import type { PluginRequest } from './plugin.ts'

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
  return judged(headers, isHidden, judge, 0)
}

function judged(
  headers: PluginRequest['headers'],
  isHidden: boolean,
  judge: (value: string) => Found,
  from: number,
): Found {
  for (let i = from; i < names.length; i++) {
    const name = names[i] as string
    const values = headers.all(name)
    if (isHidden) headers.remove(name)
    if (values.length !== 1) continue
    const found = judge(values[0] as string)
    if (found instanceof Promise)
      return found.then((credential) => credential ?? judged(headers, isHidden, judge, i + 1))
    if (found) return found
  }
  return null
}
