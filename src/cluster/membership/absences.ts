// Who is gone for good, of those whose rows have expired. When the datastore was away for as long as rows live, or its
// clock was set, all rows look like that until their nodes have said again that they are there; so a row alone proves
// nothing, and one that this node has seen expired for a while, with the datastore answering, does.
import type { RegisteredNode } from './registry.ts'

/** In that time any node that reaches the datastore has written its row: that is three of its heartbeats. */
const absenceMs = 30_000

export class Absences {
  /** Since when each expired row was seen so each time, by its name and life. */
  #sinceMs: ReadonlyMap<string, number> = new Map()

  /** All rows, as they were read now. */
  note(rows: readonly RegisteredNode[], nowMs: number): void {
    const expired = rows.filter((row) => row.expired).map(keyOf)
    this.#sinceMs = new Map(expired.map((key) => [key, this.#sinceMs.get(key) ?? nowMs]))
  }

  /** The datastore did not answer: nobody could say that it is there. */
  forget(): void {
    this.#sinceMs = new Map()
  }

  isProven(node: Pick<RegisteredNode, 'name' | 'life'>, nowMs: number): boolean {
    const sinceMs = this.#sinceMs.get(keyOf(node))
    return sinceMs !== undefined && nowMs - sinceMs >= absenceMs
  }
}

function keyOf({ name, life }: Pick<RegisteredNode, 'name' | 'life'>): string {
  return `${life} ${name}`
}
