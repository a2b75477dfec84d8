// What the log has told of this node's own life. A row that is gone does not say whether its life was over before that.
import type { Position } from '../../base/stamp.ts'
import type { NodeChange } from './joins.ts'
import type { Claim, Holding } from './registry.ts'

/** How a life is over for good, whatever has become of its row since. */
export type End = Extract<Holding, 'taken' | 'forced-out'>

export class OwnLife {
  /** The log is known without a gap from there to what is applied. */
  #followedFrom: Position = 0
  /** Of which life, and by which change. */
  #end: { readonly life: Position; readonly end: End } | undefined

  /** Takes note of changes that were applied. Returns whether they end the life of `claim`, or take its row away. */
  note(changes: readonly NodeChange[], { identity: { name }, life }: Claim): boolean {
    const endings = changes.flatMap((change) => endingBy(change, name, life) ?? [])
    for (const end of endings) if (end !== 'gone') this.#end = { life, end }
    return endings.length > 0
  }

  /** What was changed up to `position` is not known. */
  jumped(position: Position): void {
    this.#followedFrom = position
  }

  /**
   * How the life of `claim` had ended, whose row stood at `since`; `stands` when it had not by what is applied, and `unknown`
   * when that can't be told: what came between was jumped over.
   */
  fate({ life }: Claim, since: Position): End | 'stands' | 'unknown' {
    if (this.#end?.life === life) return this.#end.end
    return this.#followedFrom > since ? 'unknown' : 'stands'
  }
}

/** By somebody else's hand or by its own. */
function endingBy(
  { position, old, new: row }: NodeChange,
  name: string,
  life: Position,
): Exclude<Holding, 'held'> | undefined {
  // The image of a registration has no life yet, see `isJoin`.
  if (row?.name === name && row.life === null && position > life) return 'taken'
  if (old?.name !== name || old.life !== life) return undefined
  // Of one that was made to leave the row may go as well.
  if (row === null) return old.status === 'left' ? 'forced-out' : 'gone'
  return row.status === 'left' ? 'forced-out' : undefined
}
