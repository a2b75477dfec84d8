// A router without routing: rows by their ids, and what it was told of each change.
import type { Row } from '../../src/base/json.ts'
import type { Projection, Replacement } from '../../src/catalog/catalog.ts'

export class KeptRows implements Projection {
  byId: ReadonlyMap<unknown, Row> = new Map<unknown, Row>()
  readonly told: [Row | null, Row | null][] = []

  begin(): Replacement {
    const rows = new Map<unknown, Row>()
    return {
      add: (row) => {
        rows.set(row.id, row)
        return row
      },
      finish: () => {
        this.byId = rows
      },
    }
  }

  patch(old: Row | null, next: Row | null): void {
    this.told.push([old, next])
    const rows = new Map(this.byId)
    rows.delete(old?.id)
    if (next) rows.set(next.id, next)
    this.byId = rows
  }
}

/** Puts `rows` in the place of all at once. */
export function fill(projection: Projection, rows: readonly Row[]): void {
  const replacement = projection.begin()
  for (const row of rows) replacement.add(row)
  replacement.finish()
}
