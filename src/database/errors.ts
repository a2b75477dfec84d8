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

/**
 * COMMIT was sent, and what came back does not tell what became of it: nothing, or that the server or the session
 * is ending. The write may or may not have happened.
 */
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

/** There are no Postgres binaries for this platform, or the embedded server may not run where it is told to. */
export class NoEmbeddedPostgres extends TroopError {
  constructor(message: string, hint: string, cause?: unknown) {
    super('no-embedded-postgres', message, { cause, hint })
  }
}

/** The embedded server could not be initialised, started, reached or stopped. */
export class EmbeddedPostgresFailed extends TroopError {
  constructor(message: string, options: { cause?: unknown; hint?: string } = {}) {
    super('embedded-postgres-failed', message, options)
  }
}

/** Something was waited for, and who waited was told to stop. What had been opened for it is closed again. */
export class WaitInterrupted extends TroopError {
  /** @param what  e.g. `the embedded Postgres in /var/lib/troop/postgres` */
  constructor(what: string) {
    super('wait-interrupted', `told to stop while waiting for ${what}`)
  }
}

/** A migration failed; its module's transaction was rolled back, those of the modules before it stand. */
export class MigrationFailed extends TroopError {
  constructor(message: string, options: { cause?: unknown; hint?: string } = {}) {
    super('migration-failed', message, options)
  }
}

/** The datastore records a migration that this Troop does not have: a newer one migrated it. */
export class DatastoreTooNew extends TroopError {
  constructor(module: string, migration: string) {
    super(
      'datastore-too-new',
      `the datastore has the migration ${migration} of ${module}, which this version of troop does not know`,
      { hint: 'start the newer version of troop that migrated it, or restore a backup from before' },
    )
  }
}

/** The server is of a version that Troop does not run on. */
export class PostgresTooOld extends TroopError {
  constructor(version: string) {
    super('postgres-too-old', `troop needs Postgres 15 or newer, and the server is ${version}`, {
      hint: 'upgrade the server, or set no postgres.host to use the embedded one',
    })
  }
}
