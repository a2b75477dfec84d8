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
  const sqlState = sqlStateOf(error)
  if (sqlState === undefined) return true
  // 25006: a primary that was demoted goes on answering reads; a new connection may find the new one.
  return sqlState === '25006' || (error as { severity?: unknown }).severity !== 'ERROR'
}

function sqlStateOf(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown }
  return typeof code === 'string' && typeof severity === 'string' ? code : undefined
}

function isConnectionLoss(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  return systemCode.test(String(code)) || awayTexts.test(String(message))
}
