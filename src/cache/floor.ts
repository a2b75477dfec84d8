// The least position that a load in flight must reach. A load that was sent before an event may answer with what
// was there before it; the event raises the floor of its key, and the answer below it is refused.
import type { Position } from '../base/stamp.ts'

/** Of one flight. Raised while the flight is open, never lowered. */
export interface Floor {
  readonly position: Position
  /** Set by a reset: positions of another history mean nothing, so no answer reaches this floor any more. */
  readonly discarded: boolean
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** The floors of all open flights of one cache, by key. */
export class Floors {
  readonly #open = new Map<string, Mutable<Floor>>()

  /** @param position  what was applied when the flight started */
  open(key: string, position: Position): Floor {
    const floor = { position, discarded: false }
    this.#open.set(key, floor)
    return floor
  }

  close(key: string, floor: Floor): void {
    if (this.#open.get(key) === floor) this.#open.delete(key)
  }

  /** An event for `key`. */
  raise(key: string, position: Position): void {
    const floor = this.#open.get(key)
    if (floor) floor.position = Math.max(floor.position, position)
  }

  /** An event for whatever key starts with `prefix`, or for all keys. */
  raiseAll(position: Position, prefix = ''): void {
    for (const [key, floor] of this.#open) {
      if (key.startsWith(prefix)) floor.position = Math.max(floor.position, position)
    }
  }

  discardAll(): void {
    for (const floor of this.#open.values()) floor.discarded = true
    this.#open.clear()
  }
}

/** Whether what was read at `position` may be kept, and handed to those who wait. */
export function reaches(floor: Floor, position: Position): boolean {
  return !floor.discarded && position >= floor.position
}
