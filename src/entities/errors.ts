// What can be wrong with input for an entity.
import { TroopError } from '../base/errors.ts'

/** Attribute, as a dotted path, to what is wrong with it; a list where several things are. */
export type Faults = { readonly [path: string]: string | readonly string[] }

/** Input that an entity's field table refuses. The Admin API answers 400 with `errors` as the body. */
export class Invalid extends TroopError {
  readonly errors: Faults

  constructor(errors: Faults) {
    super('invalid', `invalid input: ${Object.values(errors).flat().join('; ')}`, { expose: true })
    this.errors = errors
  }
}
