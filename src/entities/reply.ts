// A row as clients see it.
import type { JsonObject, Row } from '../base/json.ts'
import type { Entity } from './define.ts'

/** The attributes of `row` in the order of the entity's table; those that are unset are left out. */
export function toReply(entity: Pick<Entity, 'fields'>, row: Row): JsonObject {
  const shown = Object.keys(entity.fields).filter((name) => row[name] != null)
  return Object.fromEntries(shown.map((name) => [name, row[name] as NonNullable<Row[string]>]))
}
