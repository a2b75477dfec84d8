// What a list is asked for, and where its next page is.
import type { Json, JsonObject } from '../base/json.ts'
import { coerce } from '../entities/coerce.ts'
import type { Entity, Field } from '../entities/define.ts'
import { Invalid } from '../entities/errors.ts'
import { notUuid } from '../entities/uuid.ts'
import type { Filter } from '../store/store.ts'

export interface ListingRequest {
  /** Rows a page; 0 asks for the total alone. */
  readonly size: number
  /** From 1. */
  readonly page: number
  /** Equality on attributes. */
  readonly filter: Filter
}

/** As in 0.8. There is no upper bound but this one, up to which the arithmetic of pages is exact. */
const sizeDefault = 100
const pagesAndSizesMax = 2 ** 31 - 1

/**
 * Reads `size`, `offset` and filters; any other parameter has to be an attribute.
 * @throws {Invalid} naming each parameter that is unknown or can't be compared with
 */
export function parseListing(entity: Entity, { size, offset, ...filters }: JsonObject): ListingRequest {
  const filter = Object.entries(filters).map(([name, value]): [string, Filter[string]] => {
    const field = Object.hasOwn(entity.fields, name) ? entity.fields[name] : undefined
    if (!field) throw new Invalid({ [name]: 'unknown field' })
    return [name, parseFilter(name, field, value)]
  })
  return { size: parseSize(size), page: parseOffset(offset), filter: Object.fromEntries(filter) }
}

function parseFilter(name: string, field: Field, value: Json): Filter[string] {
  const typed = typeof value === 'object' ? undefined : coerce(field.type, value)
  if (typed === undefined && field.type === 'id') throw new Invalid({ [name]: notUuid(value) })
  if (typed == null || typeof typed === 'object')
    throw new Invalid({ [name]: `${name} is not a ${field.type}` })
  if (field.type === 'timestamp' && !Number.isSafeInteger(typed)) {
    throw new Invalid({ [name]: `${name} is not a whole number of milliseconds` })
  }
  return typed
}

/** What is not a number counts as not given, as in 0.8. */
function parseSize(size: Json | undefined): number {
  const number = size === undefined ? undefined : coerce('number', size)
  if (typeof number !== 'number') return sizeDefault
  if (!Number.isInteger(number) || number < 0)
    throw new Invalid({ size: 'size is not a whole number from 0' })
  return Math.min(number, pagesAndSizesMax)
}

/** An offset is the base64 of a page's number. What is not base64 starts from the first page, as in 0.8. */
function parseOffset(offset: Json | undefined): number {
  if (typeof offset !== 'string' || !/^[A-Za-z0-9+/]+={0,2}$/.test(offset)) return 1
  const text = Buffer.from(offset, 'base64').toString('latin1')
  const page = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN
  if (page <= pagesAndSizesMax) return page
  throw new Invalid({ offset: 'offset is not one that a list gave as part of next' })
}

/**
 * The absolute URL of the page after `page`, or undefined when that is the last. It keeps the filters.
 * @param address  scheme, host and path, as the client used them
 */
export function nextUrl(address: string, request: ListingRequest, total: number): string | undefined {
  const { size, page, filter } = request
  if (size === 0 || page * size >= total) return undefined
  const query = new URLSearchParams({ size: String(size), offset: btoa(String(page + 1)) })
  for (const [name, value] of Object.entries(filter)) query.append(name, String(value))
  return `${address}?${query}`
}
