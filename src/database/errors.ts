// What can go wrong with the datastore, as its callers treat it differently.
import { TroopError } from '../base/errors.ts'

/** It could not be asked, or did not answer in time: connection refused, reset, closed or timed out. */
export class DatastoreAway extends TroopError {
  constructor(cause: unknown) {
    super('datastore-away', 'the datastore cannot be reached', { cause })
  }
}

/** It answered with an error of its own: an SQL error, a refused statement, a full queue on our side. */
export class DatastoreError extends TroopError {
  /** Postgres' SQLSTATE, e.g. `23505`, if it was Postgres that refused. */
  readonly sqlState: string | undefined

  constructor(message: string, cause?: unknown, sqlState?: string) {
    super('datastore-error', message, { cause })
    this.sqlState = sqlState
  }
}

/** The connection was lost after COMMIT was sent and before its answer: the write may or may not have happened. */
export class OutcomeUnknown extends TroopError {
  constructor(cause: unknown) {
    super(
      'outcome-unknown',
      'the connection was lost during the commit: the change may or may not have happened',
      {
        cause,
        expose: true,
        hint: 'read it again before repeating the request',
      },
    )
  }
}
