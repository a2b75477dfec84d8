// What an entity is, as data. Validation, defaults, Admin routes, cache keys, `/plugins/schema` and the
// redaction of secrets all come from these tables; nothing is said twice. `validate.ts` applies them.
import type { Json, Row } from '../base/json.ts'
import type { Random } from '../base/random.ts'

export type FieldType = 'string' | 'number' | 'boolean' | 'array' | 'table' | 'url' | 'id' | 'timestamp'

/** What a computed default may draw on: the attributes given so far, and chance. */
export interface DefaultContext {
  readonly values: Row
  readonly random: Random
}

export interface Field {
  readonly type: FieldType
  /** One sentence for people: docs and OpenAPI print it. */
  readonly help?: string
  readonly required?: boolean
  /** Used when the attribute is absent; a function is called once for each row. */
  readonly default?: Json | ((context: DefaultContext) => Json | undefined)
  /** The only strings allowed: as the value, or as the elements of an array. */
  readonly enum?: readonly string[]
  readonly pattern?: RegExp
  /** A value that passes, where type, enum and pattern alone don't lead to one. */
  readonly example?: Json
  /**
   * Set by Troop alone: `id` and `created_at`. Input is checked for its type and never changes what is stored;
   * a full replacement has to name it if it is `required`.
   */
  readonly readOnly?: boolean
  /** May be given when the row is made and not be changed after that. For plain values, not lists and tables. */
  readonly immutable?: boolean
  /** May be left out when the row is made; once it has a value it can get another one, and not lose it. */
  readonly lasting?: boolean
  /** Never shown in logs, nor in events shown to people. */
  readonly secret?: boolean
  /**
   * Of an attribute of an entity, not within a table: what is stored in the place of a text, e.g. the hash of a password.
   * Takes its time, off this thread. The very text that is stored is left as it is: who sends a row back as it was shown
   * changes nothing.
   */
  readonly seal?: (text: string, random: Random) => Promise<string>
  /** The collection that an id points into; the database holds the foreign key. */
  readonly references?: string
  /** Of a `table`: its attributes, when they are fixed. PATCH merges such a table key by key. */
  readonly fields?: Fields
  /** Of a `table`: the attributes of each of its values, when its keys are free. PATCH replaces it whole. */
  readonly each?: Fields
  /**
   * Returns what is wrong with a value that passed all other checks; may also return a cleaned value.
   * `row` is what surrounds it: the row, or the table that it is an attribute of.
   */
  readonly check?: (value: Json, row: Row) => FieldVerdict
}

/** Nothing to say, an error text, or the value to keep instead; null keeps none. */
export type FieldVerdict = undefined | { readonly error: string } | { readonly value: Json }

export type Fields = { readonly [attribute: string]: Field }

/**
 * One way by which the data plane asks for rows, and so one family of cache keys. An entity that declares its
 * lookups needs no invalidation code: every event names the keys of its old and of its new row.
 */
export interface Lookup {
  /** First part of the key, e.g. `keyauth_credentials`. */
  readonly prefix: string
  /** The columns whose values follow, joined by `:`; a null at the end is left out. */
  readonly by: readonly string[]
  /** Whether several rows can share the key: the cached value is then a list of rows, possibly empty. */
  readonly many?: boolean
  /**
   * Of `many`: whether a row that has no value in any of these columns is in all lists. For few rows that seldom change: an
   * event of one goes through all that is cached.
   */
  readonly everywhere?: boolean
}

/** How an entity that belongs to a consumer is reached: `/consumers/{consumer}/<path>/`. */
export interface Owner {
  readonly column: string
  readonly path: string
  /** The attribute under which an id in the path that is none is told of: 0.8 had two ways. Default `id`. */
  readonly wrongId?: 'id' | 'message'
}

/** A collection of all rows, `/<path>/`, whoever owns them. */
export interface OwnCollection {
  readonly path: string
  /** Whether rows are only listed there: they are made, changed and read one by one under their owner. */
  readonly listOnly?: boolean
  /** As that of an owner. */
  readonly wrongId?: 'id' | 'message'
}

export interface Entity {
  /** The table, the collection in events and in `/status`, e.g. `apis`. */
  readonly name: string
  /** Attributes in the order in which replies show them; every name is a column of the table. */
  readonly fields: Fields
  readonly lookups: readonly Lookup[]
  /** A unique attribute that may stand for the id in a path, e.g. `username`. */
  readonly alias?: string
  readonly owner?: Owner
  readonly collection?: OwnCollection
  /**
   * What to say when a constraint of the table, by its name, refuses a row: attribute → text. For rules over several
   * columns; those over one are named by it (store/constraints.ts).
   */
  readonly constraints?: { readonly [constraint: string]: Readonly<Record<string, string>> }
  /** False for rows that no node caches (counters, codes): they have no trigger and make no events. Default true. */
  readonly logged?: boolean
  /**
   * When a row is over: any time after it is removed, by any node, and with an event if rows are logged. A timestamp; in
   * the table of rows that are not logged, a `timestamptz`. A row without one stays.
   */
  readonly expires?: string
  /** Of these attributes one must be set. */
  readonly atLeastOneOf?: readonly string[]
  /** The highest schema version of row images that this code understands. Default 1. */
  readonly version?: number
  /**
   * A rule over several attributes; returns attribute → text, or `message` → text when it is about none of them
   * alone. Not asked while an attribute that it names is wrong in itself.
   */
  readonly check?: (row: Row) => Readonly<Record<string, string>> | undefined
}

/** Checks at start-up what the types can't: an entity that is wrong stops the program by name. */
export function defineEntity<const E extends Entity>(entity: E): E {
  const problem = (text: string) => new TypeError(`entity ${entity.name}: ${text}`)
  if (!/^[a-z][a-z0-9_]*$/.test(entity.name))
    throw problem('a name has lower-case letters, digits and _ only')
  const { fields, lookups, alias, owner, logged = true, expires, atLeastOneOf = [] } = entity
  if (logged && !('id' in fields)) throw problem('needs an attribute id')
  const named = [...lookups.flatMap((lookup) => lookup.by), alias, owner?.column, expires, ...atLeastOneOf]
  for (const column of named) {
    if (column !== undefined && !(column in fields)) throw problem(`${column} is not one of its attributes`)
  }
  return Object.freeze(entity)
}

/** The attributes that every entity has. */
export const commonFields = {
  id: { type: 'id', readOnly: true, help: 'UUID, generated' },
  created_at: { type: 'timestamp', readOnly: true, help: 'milliseconds since 1970, whole seconds' },
} as const satisfies Fields

/** The same for the core's own entities, whose full replacement has to name `created_at`, as in 0.8. */
export const coreFields = {
  ...commonFields,
  created_at: { ...commonFields.created_at, required: true },
} as const satisfies Fields

/** The attribute that ties a credential to its consumer. */
export const consumerField = { type: 'id', required: true, references: 'consumers' } as const satisfies Field
