// Which API a request is for: by its host names first, by its path only when none of them is known
// (docs/architecture.md "Routing"). A projection of the table `apis`, patched row by row.
import type { Row } from '../base/json.ts'
import type { Projection, Replacement } from '../catalog/catalog.ts'
import type { Headers } from './headers.ts'
import { RouteTable } from './route-table.ts'

export interface Match {
  /** The row itself: the same object as long as it is unchanged. */
  readonly api: Row
  /** `host`: equal to its request_host; `wildcard`: fits it; `path`: begins with its request_path. */
  readonly by: 'host' | 'wildcard' | 'path'
  /** The value that matched, as sent but without port; undefined when matched by path. */
  readonly host: string | undefined
}

export class Router implements Projection {
  #table = new RouteTable()
  #revision = 0

  /** Rises with every change: two matches at one revision are the same match. */
  get revision(): number {
    return this.#revision
  }

  begin(): Replacement {
    const table = new RouteTable()
    let isOther = false
    return {
      add: (row) => {
        const held = this.#table.get(String(row.id))
        const kept = held && isSame(held, row) ? held : row
        isOther ||= kept !== held
        table.set(kept)
        return kept
      },
      finish: () => {
        if (isOther || table.size !== this.#table.size) this.#revision++
        this.#table = table
      },
    }
  }

  /** What is held under the row's id is replaced, whatever `old` says: it can't be left behind. */
  patch(old: Row | null, next: Row | null): void {
    const id = String((next ?? old)?.id)
    const held = this.#table.get(id)
    if (held && next && isSame(held, next)) return
    this.#revision++
    if (next) this.#table.set(next)
    else this.#table.remove(id)
  }

  /**
   * @param hosts  candidates in order, without ports; see `hostsOf`. The first that matches any API decides
   * @param path   the raw request target up to the first `?`, never decoded
   */
  match(hosts: readonly string[], path: string): Match | null {
    for (const host of hosts) {
      const match = this.#matchHost(host)
      if (match) return match
    }
    const api = this.#table.path(path)
    return api ? { api, by: 'path', host: undefined } : null
  }

  /** The API that has this host, whatever the path: what a TLS client that names a server means. */
  named(host: string): Row | undefined {
    return this.#matchHost(host)?.api
  }

  #matchHost(host: string): Match | undefined {
    const lower = host.toLowerCase()
    const exact = this.#table.exact(lower)
    if (exact) return { api: exact, by: 'host', host }
    const wild = this.#table.wildcard(lower)
    return wild && { api: wild, by: 'wildcard', host }
  }
}

/**
 * The host names that a request offers: the values of `Host`, then those of `X-Host-Override`, each up to its
 * port and without the blanks around it.
 */
export function hostsOf(headers: Headers): string[] {
  const hosts = headers.all('host')
  for (const host of headers.all('x-host-override')) hosts.push(host)
  for (let i = 0; i < hosts.length; i++) hosts[i] = withoutPort(hosts[i] as string)
  return hosts
}

function withoutPort(value: string): string {
  const host = value.trim()
  const end = host.startsWith('[') ? host.indexOf(']') + 1 : host.indexOf(':')
  return (end > 0 ? host.slice(0, end) : end === 0 ? '' : host).trim()
}

function isSame(a: Row, b: Row): boolean {
  const columns = Object.keys(a)
  return columns.length === Object.keys(b).length && columns.every((column) => a[column] === b[column])
}
