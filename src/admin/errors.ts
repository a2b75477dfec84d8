// Every refusal of the Admin API, and the one place where an error becomes an HTTP status. Errors of other
// folders are told apart by their code (docs/errors.md); what is not listed here is a 500 that says nothing.
import { codeOf, TroopError } from '../base/errors.ts'
import type { JsonObject } from '../base/json.ts'
import type { Faults } from '../entities/errors.ts'

/** An answer other than success. */
export interface Answer {
  readonly status: number
  readonly body: JsonObject
  readonly headers?: Readonly<Record<string, string>>
}

/** A request that the Admin API itself refuses. */
export class Refused extends TroopError {
  readonly answer: Answer

  constructor(status: number, body: string | JsonObject, headers: Readonly<Record<string, string>> = {}) {
    const shown = typeof body === 'string' ? { message: body } : body
    super('refused', typeof body === 'string' ? body : JSON.stringify(body), { expose: true })
    this.answer = { status, body: shown, headers }
  }
}

export const badRequest = (text: string) => new Refused(400, text)
export const unauthorized = () =>
  new Refused(401, 'Unauthorized', { 'WWW-Authenticate': 'Bearer realm="troop"' })
export const forbidden = (text: string) => new Refused(403, text)
export const notFound = () => new Refused(404, 'Not found')
export const methodNotAllowed = (allowed: readonly string[]) =>
  new Refused(405, 'Method not allowed', { Allow: allowed.join(', ') })
export const preconditionFailed = (wanted: string) =>
  new Refused(412, `If-Match: the entity is another than ${wanted.slice(0, 80)} by now; nothing was changed`)
export const bodyTooLarge = (bytesMax: number) =>
  new Refused(413, `Request body is larger than ${bytesMax} bytes`)
export const noContentType = () =>
  new Refused(
    415,
    'Content-Type is missing: use application/json, application/x-www-form-urlencoded or multipart/form-data',
  )
export const tooManyStreams = (open: number) =>
  new Refused(503, `No more streams of events are served: ${open} are open`, { 'Retry-After': '5' })

/** The listener can be reached by others and nothing keeps them out. */
export class AdminExposed extends TroopError {
  constructor(address: string) {
    super('admin-exposed', `the Admin API would be open to other machines at ${address} without a token`, {
      hint: 'set admin_api_token, or listen on 127.0.0.1, or accept it with admin_api_insecure: true',
    })
  }
}

/**
 * What to answer to anything that was thrown, or undefined when it is our own failure: logged, then a 500.
 * @param writes  whether the request was one to change something, which is then told not to have happened
 */
export function answerTo(error: unknown, writes: boolean): Answer | undefined {
  if (error instanceof Refused) return error.answer
  return answers[codeOf(error) ?? '']?.(error as never, writes ? '; nothing was changed' : '')
}

export const unexpected: Answer = { status: 500, body: { message: 'An unexpected error occurred' } }

const answers: { readonly [code: string]: (error: never, effect: string) => Answer | undefined } = {
  invalid: ({ errors }: { errors: Faults }) => ({ status: 400, body: errors }),
  'already-exists': (violation: Violation) => ({ status: 409, body: blame(violation) }),
  'does-not-exist': (violation: Violation) => ({ status: 404, body: blame(violation) }),
  'datastore-away': (_, effect) => later(`The datastore cannot be reached${effect}`),
  'outcome-unknown': ({ message, hint }: TroopError) => ({
    status: 503,
    body: { message: `${message}; ${hint}` },
  }),
  'datastore-error': ({ sqlState }: { sqlState: string | undefined }, effect) => {
    if (sqlState === indexRowTooLong) return tooLong
    if (sqlState === diskFull) return later(`The datastore has no room left on its disk${effect}`)
    const busy = sqlState === undefined || busyStates.has(sqlState)
    return busy ? later(`The datastore is too busy${effect}`) : undefined
  },
}

function later(message: string): Answer {
  return { status: 503, body: { message }, headers: { 'Retry-After': '1' } }
}

/** Postgres' program_limit_exceeded: an entry of a b-tree index holds about 2,700 bytes, and no more. */
const indexRowTooLong = '54000'
const tooLong: Answer = {
  status: 400,
  body: { message: 'The value of a unique attribute is longer than the datastore can index' },
}

/** Postgres' disk_full: it goes on reading, and undoes what it can't write. */
const diskFull = '53100'

/**
 * lock_not_available, query_canceled (by a time limit), deadlock_detected, read_only_sql_transaction (demoted),
 * out_of_memory.
 */
const busyStates = new Set(['55P03', '57014', '40P01', '25006', '53200'])

interface Violation {
  /** Undefined when no attribute alone is to blame. */
  readonly attribute: string | undefined
  readonly message: string
}

function blame({ attribute = 'message', message }: Violation): JsonObject {
  return { [attribute]: message }
}
