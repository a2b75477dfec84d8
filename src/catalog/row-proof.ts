// Held rows compared with what a scan reads of the datastore, bit by bit, while both go on changing.
import type { Row } from '../base/json.ts'
import type { Position } from '../base/stamp.ts'
import { idOf } from './apply.ts'
import type { Patch } from './patches.ts'

/**
 * A row that is held as it was read needs no second look: what happens to it afterwards, an event says. The others are
 * looked at again once all that the scan saw is applied.
 */
export class RowProof {
  readonly #held: () => ReadonlyMap<string, Row>
  readonly #read = new Set<string>()
  /** Rows that were read otherwise than they were held then, mostly because one or the other was newer. */
  readonly #doubtful = new Map<string, Row>()
  /** What was applied since the scan was sent. */
  readonly #applied: { readonly position: Position; readonly patches: readonly Patch[] }[] = []

  /** @param held  the rows, by id, as of what is applied */
  constructor(held: () => ReadonlyMap<string, Row>) {
    this.#held = held
  }

  read(rows: readonly Row[]): void {
    for (const row of rows) {
      const id = idOf(row)
      this.#read.add(id)
      if (!isSame(this.#held().get(id), row)) this.#doubtful.set(id, row)
    }
  }

  apply(position: Position, patches: readonly Patch[]): void {
    if (patches.length > 0) this.#applied.push({ position, patches })
  }

  /** Ids of rows that are held and were not read, looked for in turns of `pause`. Those that are new are among them. */
  async unread(pause: () => Promise<void>): Promise<readonly string[]> {
    const unread: string[] = []
    let looked = 0
    for (const id of this.#held().keys()) {
      if (!this.#read.has(id)) unread.push(id)
      if (++looked % idsAtOnce === 0) await pause()
    }
    return unread
  }

  /**
   * What makes the held rows those that were read at `position`, with what came later. Empty unless something is broken.
   * @param unread  what `unread` found in this very tick
   */
  differences(position: Position, unread: readonly string[]): Patch[] {
    const proven = new Map<string, Row | null>(this.#doubtful)
    for (const id of unread) proven.set(id, null)
    const later = this.#applied.filter((applied) => applied.position > position)
    for (const { id, row } of later.flatMap(({ patches }) => patches)) proven.set(id, row)
    return [...proven].flatMap(([id, row]) =>
      isSame(this.#held().get(id), row ?? undefined) ? [] : { id, row },
    )
  }
}

/** Looking for this many takes a millisecond. */
const idsAtOnce = 5000

/** Both have rows as Postgres prints them, so equal rows have equal texts. */
function isSame(a: Row | undefined, b: Row | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
