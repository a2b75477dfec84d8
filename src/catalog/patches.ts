// Changes of single rows of the projected table.
import type { Row } from '../base/json.ts'

/** One row of the projected entity became `row`, or is gone. */
export interface Patch {
  readonly id: string
  readonly row: Row | null
}
