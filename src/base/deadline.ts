// A deadline that the threads of a process share: one sets it, the others ask whether it has passed, without a message.
import type { Clock, Moment } from './clock.ts'

/** What `Deadline` is made over; may be handed to other threads. */
export function deadlineBuffer(): SharedArrayBuffer {
  return new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT)
}

export class Deadline {
  readonly #moment: Float64Array
  readonly #clock: Clock

  /** Has passed until it is set. */
  constructor(buffer: SharedArrayBuffer, clock: Clock) {
    this.#moment = new Float64Array(buffer)
    this.#clock = clock
  }

  /**
   * A reader in between sees one clock's new value and the other's old one: put off, it has passed for a moment longer
   * than it should; brought forward, it has passed as soon as one of them says so.
   */
  set({ monotonic, wall }: Moment): void {
    this.#moment[0] = monotonic
    this.#moment[1] = wall
  }

  /** It has passed from now on, until it is set. */
  clear(): void {
    this.#moment.fill(0)
  }

  /** By either clock: one may have stood still while the machine slept, and the other may have been set back. */
  hasPassed(): boolean {
    const [monotonic = 0, wall = 0] = this.#moment
    return this.#clock.monotonic() > monotonic || this.#clock.now() > wall
  }
}
