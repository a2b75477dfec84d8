// What went wrong with the datastore, told from what pg threw.
import { describeError } from '../base/errors.ts'
import { DatastoreAway, DatastoreError } from './errors.ts'

/** By which a server says that it, or this connection to it, is going or not there yet (SQLSTATE). */
const awayStates = new Set([
  '57P01', // admin_shutdown: the backend was terminated, or the server stops
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now: starting up, shutting down, in recovery
  '53300', // too_many_connections
])

/**
 * By which a server may say that it ends the session: connections (08), logins (28), resources (53), timeouts of
 * idle sessions and of transactions (25P03, 25P04), operator's intervention (57P), system (58), files (F0),
 * internal (XX).
 */
const fatalStates = /^(08|28|53|25P03|25P04|57P|58|F0|XX)/

/** pg's own errors have no code; these are the ones that mean a lost or silent connection. */
const awayTexts =
  /^(Connection terminated|Connection ended|Query read timeout|timeout expired|Client has encountered a connection error|Client was closed)/

/** Node's codes for sockets and names: ECONNREFUSED, ETIMEDOUT, ENOTFOUND, EAI_AGAIN … */
const systemCode = /^E[A-Z_]{3,}$/

/**
 * The error to throw for one that pg threw. Errors that are ours already are returned as they are.
 * @param connecting  whether it came while the connection was being made: then all that the server itself did
 *                    not say (a refused certificate, a closed socket) means that it can't be asked
 */
export function failureOf(error: unknown, connecting = false): DatastoreAway | DatastoreError {
  if (error instanceof DatastoreAway || error instanceof DatastoreError) return error
  const sqlState = sqlStateOf(error)
  if (sqlState === undefined)
    return connecting || isConnectionLoss(error)
      ? new DatastoreAway(error)
      : new DatastoreError('the datastore could not be asked', error)
  if (awayStates.has(sqlState) || sqlState.startsWith('08')) return new DatastoreAway(error)
  return new DatastoreError(`the datastore refused: ${describeError(error)}`, error, sqlState)
}

/** Whether a connection that answered with `error` may not be used again. */
export function endsConnection(error: unknown): boolean {
  // 25006: a primary that was demoted goes on answering reads; a new connection may find the new one.
  return sqlStateOf(error) === '25006' || !refusesStatement(error)
}

/**
 * Whether the server refused a statement and nothing else: the session goes on, its transaction will be undone.
 * The severity says so, but pg passes on only the one that is translated (`lc_messages`), and no language uses an
 * English one for another. What is in other words is told by its SQLSTATE, and in doubt taken for the worse.
 * @see https://www.postgresql.org/docs/current/protocol-error-fields.html
 */
export function refusesStatement(error: unknown): boolean {
  const sqlState = sqlStateOf(error)
  if (sqlState === undefined) return false
  const { severity } = error as { severity: string }
  if (severity === 'ERROR') return true
  return severity !== 'FATAL' && severity !== 'PANIC' && !fatalStates.test(sqlState)
}

function sqlStateOf(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown }
  return typeof code === 'string' && typeof severity === 'string' ? code : undefined
}

function isConnectionLoss(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  return systemCode.test(String(code)) || awayTexts.test(String(message))
}
