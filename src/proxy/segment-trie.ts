// Rows under lists of segments, found by the longest list that begins another: in one step per segment, however
// many rows there are. Path prefixes are such lists, and host wildcards too, from one end or the other.
import type { Row } from '../base/json.ts'

export class SegmentTrie {
  readonly #root = makeNode()

  get isEmpty(): boolean {
    return this.#root.children === undefined && this.#root.rows.length === 0
  }

  insert(segments: readonly string[], row: Row): void {
    let node = this.#root
    for (const segment of segments) {
      node.children ??= new Map()
      let child = node.children.get(segment)
      if (!child) {
        child = makeNode()
        node.children.set(segment, child)
      }
      node = child
    }
    addRow(node.rows, row)
  }

  /** Takes out `row`, the very object that was put in, and the branch that held nothing else. */
  remove(segments: readonly string[], row: Row): void {
    const way = [this.#root]
    for (const segment of segments) {
      const child = way.at(-1)?.children?.get(segment)
      if (!child) return
      way.push(child)
    }
    removeRow((way.at(-1) as Node).rows, row)
    for (let i = segments.length; i > 0; i--) {
      const { rows, children } = way[i] as Node
      if (rows.length > 0 || children) return
      const parent = way[i - 1] as Node
      parent.children?.delete(segments[i - 1] as string)
      if (parent.children?.size === 0) parent.children = undefined
    }
  }

  /** The row under the longest beginning of `segments` that has one, at most `depthMax` segments long. */
  longest(segments: readonly string[], depthMax = segments.length): Row | undefined {
    let node = this.#root
    let best = node.rows[0]
    for (let depth = 0; depth < depthMax; depth++) {
      const child = node.children?.get(segments[depth] as string)
      if (!child) return best
      node = child
      best = node.rows[0] ?? best
    }
    return best
  }
}

interface Node {
  /** None at the end of most branches: a map for each of 100,000 would be most of what they take. */
  children: Map<string, Node> | undefined
  /** Mostly none or one: two only while the events of one transaction are applied one by one. */
  readonly rows: Row[]
}

function makeNode(): Node {
  return { children: undefined, rows: [] }
}

/** Adds `row` in the order of age, which decides where two rows claim the same. */
export function addRow(rows: Row[], row: Row): void {
  rows.push(row)
  rows.sort(byAge)
}

export function removeRow(rows: Row[], row: Row): void {
  const i = rows.indexOf(row)
  if (i >= 0) rows.splice(i, 1)
}

/** Older first; ids break ties, so that all nodes agree. */
export function byAge(a: Row, b: Row): number {
  return Number(a.created_at) - Number(b.created_at) || (String(a.id) < String(b.id) ? -1 : 1)
}
