// Which of the nodes that must know of a change have said that they do.
import type { Position } from '../../base/stamp.ts'

/** A row of `nodes` that was registered, and had not left, when the change was committed. */
export interface Recipient {
  readonly name: string
  /** An acknowledgement of another life is of another process, or of one that was shut out. */
  readonly life: Position
  /** One that was forced out serves nothing any more after so many ms, whether it knows of it or not; null for others. */
  readonly lapsesMs: number | null
}

/** What an answer to a write says. */
export interface Delivered {
  /** Nodes that have the change, the writer's own included. */
  readonly applied: number
  /** Nodes that are to have it. */
  readonly of: number
  /** Names of those that have not said so, sorted. */
  readonly lagging: readonly string[]
}

export class Acknowledgements {
  readonly #missing: Map<string, Recipient>
  #count: number
  #change = Promise.withResolvers<void>()

  constructor(recipients: readonly Recipient[]) {
    this.#missing = new Map(recipients.map((recipient) => [recipient.name, recipient]))
    this.#count = this.#missing.size
  }

  /**
   * Node `name` has the change, in this life. Says nothing of another life, nor of a node that need not have it.
   * @returns  whether it counts
   */
  note(name: string, life: Position): boolean {
    if (this.#missing.get(name)?.life !== life) return false
    this.#missing.delete(name)
    this.#change.resolve()
    this.#change = Promise.withResolvers()
    return true
  }

  /** Whether a missing one is of those that lapse. */
  lapses(name: string): boolean {
    return this.#missing.get(name)?.lapsesMs != null
  }

  /** So long after the change, those that were forced out before it need not have it any more. */
  lapse(elapsedMs: number): void {
    for (const { name, lapsesMs } of this.#missing.values()) {
      if (lapsesMs === null || elapsedMs <= lapsesMs) continue
      this.#missing.delete(name)
      this.#count--
    }
  }

  /** Resolves with the next one that counts. */
  changed(): Promise<void> {
    return this.#change.promise
  }

  /** Names of those that have not acknowledged. */
  get missing(): readonly string[] {
    return [...this.#missing.keys()].sort()
  }

  report(): Delivered {
    return { applied: this.#count - this.#missing.size, of: this.#count, lagging: this.missing }
  }
}
