// What the datastore's constraints say about an entity, in the words of the Admin API.

import { TroopError } from '../base/errors.ts'
import type { Json } from '../base/json.ts'

/** A unique attribute, or a combination of them, is taken. */
export class AlreadyExists extends TroopError {
  /** Undefined when the rule is about several attributes together. */
  readonly attribute: string | undefined
  readonly value: Json

  constructor(message: string, attribute: string | undefined, value: Json, cause: unknown) {
    super('already-exists', message, { cause, expose: true })
    this.attribute = attribute
    this.value = value
  }
}

/** An attribute points at an entity that is not there. */
export class DoesNotExist extends TroopError {
  readonly attribute: string
  readonly value: Json

  constructor(message: string, attribute: string, value: Json, cause: unknown) {
    super('does-not-exist', message, { cause, expose: true })
    this.attribute = attribute
    this.value = value
  }
}
