import { TroopError } from '../base/errors.ts'

/** What the datastore holds under a key can't be told now: answered as 503, never as absence. */
export class Unknown extends TroopError {
  constructor(key: string, cause?: unknown) {
    super('unknown', `can't tell what the datastore holds for ${key}`, { cause })
  }
}
