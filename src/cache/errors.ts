// Why a load can end without a value although nobody refused it.
import { TroopError } from '../base/errors.ts'

/** More callers wait for loads than the bound allows: the datastore is slower than the traffic needs it. */
export class LoadsBusy extends TroopError {
  constructor(waitersMax: number) {
    super('loads-busy', `${waitersMax} lookups wait for the datastore already, which is the most allowed`)
  }
}

/** Every answer was older than what had been applied by then, as often as it was asked. */
export class FloorNotReached extends TroopError {
  constructor(rounds: number) {
    super('floor-not-reached', `${rounds} answers in a row were older than what this node has applied`)
  }
}

/** Nobody waits any more, so the load was given up. */
export class LoadAbandoned extends TroopError {
  constructor() {
    super('load-abandoned', 'nobody waits for this load any more')
  }
}
