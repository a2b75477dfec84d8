// The headers in which a client says who it is and proves it, tried in turn.
import type { Row } from '../base/json.ts'
import type { PluginRequest } from './plugin.ts'

type Found = Row | null | Promise<Row | null>

const names = ['Proxy-Authorization', 'Authorization'] as const

/**
 * The credential that a header shows, the first of them that shows one; null: none does; undefined: there is no such header.
 * A header that is given several times shows none: the upstream might read another one of them.
 *
 * @param isHidden  whether each header that is looked at is removed, so that it reaches neither the upstream nor a
 *                  log, whatever becomes of the request
 * @param judge     the credential that a value proves, or null
 */
export function shownCredential(
  { headers }: PluginRequest,
  isHidden: boolean,
  judge: (value: string) => Found,
): Found | undefined {
  return shownIn(headers, isHidden, judge, 0)
}

function shownIn(
  headers: PluginRequest['headers'],
  isHidden: boolean,
  judge: (value: string) => Found,
  from: number,
): Found | undefined {
  let found: Found | undefined
  for (let i = from; i < names.length; i++) {
    const name = names[i] as string
    const values = headers.all(name)
    if (values.length === 0) continue
    if (isHidden) headers.remove(name)
    found = values.length === 1 ? judge(values[0] as string) : null
    if (found instanceof Promise)
      return found.then((credential) => credential ?? shownIn(headers, isHidden, judge, i + 1) ?? null)
    if (found) return found
  }
  return found
}
