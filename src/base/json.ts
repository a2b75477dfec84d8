// The shapes of data that crosses a boundary as JSON.

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** An object of JSON values. Shared freely between caches, so it is never changed in place. */
export type JsonObject = { readonly [key: string]: Json }

/**
 * One row of a table as Postgres' `to_jsonb` prints it: column name to value, null where unset. Events carry
 * rows in this form and cache fills read them in it, so both can be compared and exchanged.
 */
export type Row = JsonObject

/** Whether `value` is a JSON object: not null, not a list. */
export function isObject(value: unknown): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
