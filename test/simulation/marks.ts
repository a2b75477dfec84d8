// Situations that are worth having been in, counted over all seeds. What a world sees from outside tells of them: lines of
// nodes' logs, their counts, answers. A soak that never was in one of these says so, and fails.
import { faultKinds } from './faults.ts'

export const situations: readonly string[] = [
  ...faultKinds.map((kind) => `fault: ${kind}`),
  ...['start', 'other-history', 'pruned', 'too-big'].map((reason) => `load: ${reason}`),
  ...['write', 'push', 'notify', 'pull', 'peer'].map((path) => `came by: ${path}`),
  'fill: refused by its floor',
  'entry: evicted',
  'member: accused',
  'member: refuted',
  'push: missed',
  'renewed: forced-out',
  'renewed: taken',
  'request: 503',
  'request: met several positions',
  'request: waited for a position',
  'start: name-taken',
  'write: complete',
  'write: incomplete',
  'write: not even applied here',
  'write: outcome-unknown',
  'write: datastore-away',
  'write: datastore-error',
  'write: somebody forced out need not know any more',
  'said: member back',
  'said: not listening to the datastore',
  'said: requests answered 503: the datastore cannot be asked',
  'said: requests answered 503: this node may be missing changes',
  'said: requests answered 503: what they ask for is not applied here',
  'said: the heartbeat could not be written',
  'said: the row of this node was gone and is put back',
  'said: this life of the node is over, as another member knows',
  'said: this node had been called failed',
  'said: this node may be missing changes',
  'said: what had this name before does not answer: taking the name over',
]

/** Fewer seeds can't be expected to have been everywhere. */
export const soakSeedsMin = 1000

export class Marks {
  readonly counts = new Map<string, number>()

  note(situation: string, times: number | undefined = 1): void {
    if (times > 0) this.counts.set(situation, (this.counts.get(situation) ?? 0) + times)
  }

  add(other: ReadonlyMap<string, number>): void {
    for (const [situation, times] of other) this.note(situation, times)
  }

  get unreached(): readonly string[] {
    return situations.filter((situation) => !this.counts.has(situation))
  }
}
