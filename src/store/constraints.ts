// From the name of a violated constraint to what is wrong with the row. Migrations name them for it:
// <table>_<column>_key is unique, <table>_<column>_fkey points at another table. For others the entity has the words.
import type { Json, Row } from '../base/json.ts'
import type { Entity } from '../entities/define.ts'
import { Invalid } from '../entities/errors.ts'
import { AlreadyExists, DoesNotExist } from './errors.ts'

/** Rules over several columns have no attribute to blame. */
const sayings: Readonly<Record<string, string>> = {
  plugins_once: 'Plugin configuration already exists',
}

const uniqueViolation = '23505'
const foreignKeyViolation = '23503'

/**
 * The error to throw for one that a write of `row` met: what constraints refused is told by attribute, anything
 * else is returned as it is.
 */
export function violationOf(error: unknown, entity: Entity, row: Row): unknown {
  const { sqlState, cause } = (error ?? {}) as { sqlState?: unknown; cause?: { constraint?: unknown } }
  const constraint = String(cause?.constraint ?? '')
  const told = entity.constraints?.[constraint]
  if (told) return new Invalid(told)
  if (sqlState === uniqueViolation) return alreadyExists(constraint, entity, row, error)
  const attribute = sqlState === foreignKeyViolation ? columnOf(constraint, entity, 'fkey') : undefined
  if (attribute === undefined) return error
  const value = row[attribute] ?? null
  return new DoesNotExist(`does not exist with value '${shown(value)}'`, attribute, value, error)
}

function alreadyExists(constraint: string, entity: Entity, row: Row, cause: unknown): AlreadyExists {
  const attribute = constraint === `${entity.name}_pkey` ? 'id' : columnOf(constraint, entity, 'key')
  if (attribute === undefined)
    return new AlreadyExists(sayings[constraint] ?? 'already exists', undefined, null, cause)
  const value = row[attribute] ?? null
  return new AlreadyExists(`already exists with value '${shown(value)}'`, attribute, value, cause)
}

function columnOf(constraint: string, entity: Entity, kind: 'key' | 'fkey'): string | undefined {
  return Object.keys(entity.fields).find((column) => constraint === `${entity.name}_${column}_${kind}`)
}

function shown(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
