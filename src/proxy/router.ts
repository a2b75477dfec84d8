// Which API a request is for: by its host names first, by its path only when none of them is known
// (docs/architecture.md "Routing"). A projection of the table `apis`, patched row by row.
import type { Row } from '../base/json.ts'
import type { Projection } from '../catalog/catalog.ts'
import type { Headers } from './headers.ts'
import { addRow, byAge, removeRow, SegmentTrie } from './segment-trie.ts'

export interface Match {
  /** The row itself: the same object as long as it is unchanged. */
  readonly api: Row
  /** `host`: equal to its request_host; `wildcard`: fits it; `path`: begins with its request_path. */
  readonly by: 'host' | 'wildcard' | 'path'
  /** The value that matched, as sent but without port; undefined when matched by path. */
  readonly host: string | undefined
}

export class Router implements Projection {
  readonly #rows = new Map<string, Row>()
  readonly #hosts = new Map<string, Row[]>()
  /** `*.example.org` under org, example. */
  readonly #suffixes = new SegmentTrie()
  /** `example.*` under example. */
  readonly #prefixes = new SegmentTrie()
  readonly #paths = new SegmentTrie()
  #revision = 0

  /** Rises with every change: two matches at one revision are the same match. */
  get revision(): number {
    return this.#revision
  }

  /** Replaces everything. A row equal to the one it replaces keeps its identity. */
  load(rows: readonly Row[]): void {
    const gone = new Set(this.#rows.keys())
    for (const row of rows) {
      gone.delete(String(row.id))
      this.patch(null, row)
    }
    for (const id of gone) this.patch(this.#rows.get(id) as Row, null)
  }

  /** What is held under the row's id is replaced, whatever `old` says: it can't be left behind. */
  patch(old: Row | null, next: Row | null): void {
    const id = String((next ?? old)?.id)
    const held = this.#rows.get(id)
    if (held && next && isSame(held, next)) return
    this.#revision++
    if (held) {
      this.#rows.delete(id)
      this.#unlist(held)
    }
    if (next) {
      this.#rows.set(id, next)
      this.#list(next)
    }
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
    const api = path.startsWith('/') ? this.#paths.longest(segmentsOf(path)) : undefined
    return api ? { api, by: 'path', host: undefined } : null
  }

  /** The API that has this host, whatever the path: what a TLS client that names a server means. */
  named(host: string): Row | undefined {
    return this.#matchHost(host)?.api
  }

  #matchHost(host: string): Match | undefined {
    const lower = host.toLowerCase()
    const exact = this.#hosts.get(lower)?.[0]
    if (exact) return { api: exact, by: 'host', host }
    const wild = this.#prefixes.isEmpty && this.#suffixes.isEmpty ? undefined : this.#matchWildcard(lower)
    return wild && { api: wild, by: 'wildcard', host }
  }

  /** Of the fitting wildcards the one with the longest literal part, then the older one. */
  #matchWildcard(host: string): Row | undefined {
    const labels = host.split('.')
    const last = labels.length - 1
    // The star stands for at least one character, so some text must be left over at its end.
    const right = this.#prefixes.longest(labels, labels[last] === '' ? last - 1 : last)
    const left = this.#suffixes.longest(labels.toReversed(), labels[0] === '' ? last - 1 : last)
    if (!left || !right) return left ?? right
    const byLiteral = String(right.request_host).length - String(left.request_host).length
    return (byLiteral || byAge(left, right)) > 0 ? right : left
  }

  #list(row: Row): void {
    const { host, path } = placesOf(row)
    if (host?.kind === 'exact') {
      const rows = this.#hosts.get(host.name)
      if (rows) addRow(rows, row)
      else this.#hosts.set(host.name, [row])
    } else if (host) this.#trieOf(host).insert(host.labels, row)
    if (path) this.#paths.insert(path, row)
  }

  #unlist(row: Row): void {
    const { host, path } = placesOf(row)
    if (host?.kind === 'exact') {
      const rows = this.#hosts.get(host.name) ?? []
      removeRow(rows, row)
      if (rows.length === 0) this.#hosts.delete(host.name)
    } else if (host) this.#trieOf(host).remove(host.labels, row)
    if (path) this.#paths.remove(path, row)
  }

  #trieOf({ kind }: Wildcard): SegmentTrie {
    return kind === 'suffix' ? this.#suffixes : this.#prefixes
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

type Wildcard = { readonly kind: 'suffix' | 'prefix'; readonly labels: readonly string[] }
type Host = { readonly kind: 'exact'; readonly name: string } | Wildcard

/** Where the structures hold `row`. */
function placesOf(row: Row): { host: Host | undefined; path: readonly string[] | undefined } {
  const { request_host, request_path } = row
  return {
    host: typeof request_host === 'string' && request_host !== '' ? hostPlace(request_host) : undefined,
    path: typeof request_path === 'string' && request_path !== '' ? segmentsOf(request_path) : undefined,
  }
}

function hostPlace(requestHost: string): Host {
  const name = requestHost.toLowerCase()
  if (name.startsWith('*.')) return { kind: 'suffix', labels: name.slice(2).split('.').reverse() }
  if (name.endsWith('.*')) return { kind: 'prefix', labels: name.slice(0, -2).split('.') }
  return { kind: 'exact', name }
}

/** `/a/b` → a, b; `/` → none, the beginning of every path. */
function segmentsOf(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/')
}

function isSame(a: Row, b: Row): boolean {
  const columns = Object.keys(a)
  return columns.length === Object.keys(b).length && columns.every((column) => a[column] === b[column])
}
