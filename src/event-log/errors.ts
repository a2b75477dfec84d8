// What can go wrong with following the log, as its callers treat it differently.
import { TroopError } from '../base/errors.ts'
import type { Position } from '../base/stamp.ts'

/** This node has not applied a position in the time that the caller gave. */
export class NotReached extends TroopError {
  constructor(position: Position, applied: Position, limitMs: number) {
    super(
      'not-reached',
      `position ${position} was not applied within ${limitMs} ms: this node is at position ${applied}`,
    )
  }
}
