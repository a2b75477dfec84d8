// Ids, as paths, filters and rows write them.

/** A UUID in lower case; as in 0.8, one in upper case is taken for a name. */
export const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && uuidPattern.test(value)
}

/** What to say of a value that should have been an id. */
export function notUuid(value: unknown): string {
  return `${typeof value === 'string' ? value : JSON.stringify(value)} is not a valid uuid`
}
