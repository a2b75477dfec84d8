import type { Position } from '../base/stamp.ts'

/** What is known about one key. Never changed in place by callers. */
export interface Entry<T> {
  /** Null: it is known that there is nothing. */
  readonly value: T | null
  /** The stamp it was read at, or the newest event that changed it. */
  readonly position: Position
}
