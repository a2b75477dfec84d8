// Which API is for which host and path: every structure that holds them, changed API by API. A request costs a step for
// each label of its host and each segment of its path, however many APIs there are.
import type { Row } from '../base/json.ts'
import { addRow, byAge, removeRow, SegmentTrie } from './segment-trie.ts'

export class RouteTable {
  readonly #rows = new Map<string, Row>()
  readonly #hosts = new Map<string, Row[]>()
  /** `*.example.org` under org, example. */
  readonly #suffixes = new SegmentTrie()
  /** `example.*` under example. */
  readonly #prefixes = new SegmentTrie()
  readonly #paths = new SegmentTrie()

  get size(): number {
    return this.#rows.size
  }

  get(id: string): Row | undefined {
    return this.#rows.get(id)
  }

  /** Puts `row` into the place of the one with its id. */
  set(row: Row): void {
    const id = String(row.id)
    this.remove(id)
    this.#rows.set(id, row)
    this.#list(row)
  }

  remove(id: string): void {
    const held = this.#rows.get(id)
    if (!held) return
    this.#rows.delete(id)
    this.#unlist(held)
  }

  /** @param host  in lower case */
  exact(host: string): Row | undefined {
    return this.#hosts.get(host)?.[0]
  }

  /** Of the fitting wildcards the one with the longest literal part, then the older one. */
  wildcard(host: string): Row | undefined {
    if (this.#prefixes.isEmpty && this.#suffixes.isEmpty) return undefined
    const labels = host.split('.')
    const last = labels.length - 1
    // The star stands for at least one character, so some text must be left over at its end.
    const right = this.#prefixes.longest(labels, labels[last] === '' ? last - 1 : last)
    const left = this.#suffixes.longest(labels.toReversed(), labels[0] === '' ? last - 1 : last)
    if (!left || !right) return left ?? right
    const byLiteral = String(right.request_host).length - String(left.request_host).length
    return (byLiteral || byAge(left, right)) > 0 ? right : left
  }

  /** The one whose path is the longest beginning of this one. */
  path(path: string): Row | undefined {
    return path.startsWith('/') ? this.#paths.longest(segmentsOf(path)) : undefined
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
