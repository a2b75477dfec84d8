// Changes of single rows of the projected table.
import type { Row } from '../base/json.ts'
import { idOf } from './apply.ts'

/** One row of the projected entity became `row`, or is gone. */
export interface Patch {
  readonly id: string
  readonly row: Row | null
}

/** `rows` by id, with later patches. */
export function patched(rows: readonly Row[], patches: readonly Patch[]): ReadonlyMap<string, Row> {
  const all = new Map(rows.map((row) => [idOf(row), row]))
  for (const { id, row } of patches) {
    if (row) all.set(id, row)
    else all.delete(id)
  }
  return all
}

/** What makes `held` into `proven`. Both have rows as Postgres prints them, so equal rows have equal texts. */
export function differences(held: ReadonlyMap<string, Row>, proven: ReadonlyMap<string, Row>): Patch[] {
  const gone = [...held.keys()].filter((id) => !proven.has(id)).map((id) => ({ id, row: null }))
  const other = [...proven].filter(([id, row]) => JSON.stringify(held.get(id)) !== JSON.stringify(row))
  return [...gone, ...other.map(([id, row]) => ({ id, row }))]
}
