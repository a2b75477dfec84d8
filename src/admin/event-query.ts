// Which part of the log is asked for, and where its next page is.
import type { Json, JsonObject } from '../base/json.ts'
import type { Position } from '../base/stamp.ts'
import { coerce } from '../entities/coerce.ts'
import { Invalid } from '../entities/errors.ts'
import type { EventFilter } from './log-view.ts'

export interface EventQuery {
  /** Only what came after this position; undefined when nothing was said. */
  readonly since: Position | undefined
  /** Events a page; 0 asks for the ends of the log alone. */
  readonly size: number
  readonly filter: EventFilter
}

export const sizeDefault = 100
/** Row images are some hundred bytes each, so that a page is well below a megabyte. */
export const sizeMax = 1000

/** As the log writes them (event-log/event.ts). */
export const operations = ['create', 'update', 'delete', 'reset', 'genesis']

/**
 * Reads `since`, `size`, `entity` and `operation`.
 * @param entities  the names that may be asked for
 * @throws {Invalid} naming the parameter that is unknown or wrong, and its value
 */
export function parseEventQuery(parameters: JsonObject, entities: readonly string[]): EventQuery {
  const { since, size, entity, operation, ...others } = parameters
  for (const name of Object.keys(others)) throw new Invalid({ [name]: 'unknown field' })
  return {
    since: since === undefined ? undefined : parsePosition('since', since),
    size: size === undefined ? sizeDefault : parseWhole('size', size, sizeMax),
    filter: {
      entity: parseWord('entity', entity, entities),
      operation: parseWord('operation', operation, operations),
    },
  }
}

/** @throws {Invalid} naming `name` and the value */
export function parsePosition(name: string, value: Json): Position {
  return parseWhole(name, value, Number.MAX_SAFE_INTEGER)
}

function parseWhole(name: string, value: Json, most: number): number {
  const number = coerce('number', value)
  if (Number.isSafeInteger(number) && (number as number) >= 0 && (number as number) <= most) {
    return number as number
  }
  const bounds = most === Number.MAX_SAFE_INTEGER ? 'from 0' : `from 0 to ${most}`
  throw new Invalid({ [name]: `${name} is not a whole number ${bounds}: ${JSON.stringify(value)}` })
}

function parseWord(name: string, value: Json | undefined, known: readonly string[]): string | undefined {
  if (value === undefined || known.includes(value as string)) return value as string | undefined
  const allowed = known.map((word) => `"${word}"`).join(', ')
  throw new Invalid({ [name]: `${JSON.stringify(value)} is not allowed. Allowed values are: ${allowed}` })
}

/**
 * The absolute URL of the page after `until`. It keeps size and filters.
 * @param address  scheme, host and path, as the client used them
 */
export function nextEventsUrl(address: string, { size, filter }: EventQuery, until: Position): string {
  const query = new URLSearchParams({ since: String(until), size: String(size) })
  for (const [name, word] of Object.entries(filter)) if (word !== undefined) query.append(name, word)
  return `${address}?${query}`
}
