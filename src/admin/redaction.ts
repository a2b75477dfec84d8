// Events as people may see them. What is secret says the field table of the entity, or of the plugin that a
// configuration is for. What no table of this node describes may be secret: of that only the names are shown.
import { isDeepStrictEqual } from 'node:util'
import { isObject, type Json, type JsonObject, type Row } from '../base/json.ts'
import { commonFields, type Entity, type Field, type Fields } from '../entities/define.ts'
import { plugin } from '../entities/plugin.ts'
import { isUuid } from '../entities/uuid.ts'
import type { LoggedEvent } from './log-view.ts'
import type { PluginShapes } from './plugin-shapes.ts'

/** In the place of a value, whatever it is and however long. */
const mask = '******'

/** The nodes of the cluster are no entity, and what is told of them is no secret. */
export const nodesTable = 'nodes'
const nodeFields: Fields = {
  name: { type: 'string' },
  address: { type: 'string' },
  status: { type: 'string' },
  life: { type: 'number' },
}

/** Of a row that no table describes. Its columns' names tell what it is; its id, which one. */
const unknownFields: Fields = { id: commonFields.id }

export class Redaction {
  readonly #entities: ReadonlyMap<string, Entity>
  readonly #shapes: PluginShapes

  constructor(entities: readonly Entity[], shapes: PluginShapes) {
    this.#entities = new Map(entities.map((entity) => [entity.name, entity]))
    this.#shapes = shapes
    Object.freeze(this)
  }

  /**
   * The event with its rows as replies show them, each secret as `******`. An update names the columns that
   * `changed`, so that a new secret shows as that.
   */
  show(event: LoggedEvent): JsonObject {
    const { position, first, at, entity, operation, actor = null, schema } = event
    const [before, after] = [imageOf(event, event.old), imageOf(event, event.new)]
    return {
      ...{ position, first, at, entity, operation, actor, schema },
      ...(before && after && { changed: changedColumns(before, after) }),
      old: before && this.#showRow(event, before),
      new: after && this.#showRow(event, after),
    }
  }

  #showRow({ entity: name, schema }: LoggedEvent, row: Row): JsonObject {
    const fields = this.#fieldsOf(name, schema, row)
    if (fields) return showTable(fields, row)
    return showTable(isUuid(row.id) ? unknownFields : {}, row)
  }

  /** Undefined when this node does not know what the row holds. */
  #fieldsOf(name: string, schema: number, row: Row): Fields | undefined {
    if (name === nodesTable) return schema > 1 ? undefined : nodeFields
    const entity = this.#entities.get(name)
    if (!entity || schema > (entity.version ?? 1)) return undefined
    return entity === plugin ? this.#shapes.fieldsOf(row) : entity.fields
  }
}

function imageOf({ entity, schema, position }: LoggedEvent, row: Row | null | undefined): Row | null {
  if (!row || entity !== nodesTable || schema > 1) return row ?? null
  const { name, cluster_listening_address: address, status, life } = row
  // A registration's image has no life yet: that is the position of the event (migrations/0003_nodes.ts).
  return { name, address, status, life: life ?? position } as Row
}

function changedColumns(before: Row, after: Row): string[] {
  const columns = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...columns].filter((column) => !isDeepStrictEqual(before[column], after[column]))
}

/** In the order of the table, then what is not in it. What is unset is left out. */
function showTable(fields: Fields, row: JsonObject): JsonObject {
  const known = Object.keys(fields).filter((name) => row[name] != null)
  const unknown = Object.keys(row).filter((name) => !Object.hasOwn(fields, name))
  return Object.fromEntries([
    ...known.map((name) => [name, showValue(fields[name] as Field, row[name] as Json)] as const),
    ...unknown.map((name) => [name, mask] as const),
  ])
}

function showValue({ secret, fields, each }: Field, value: Json): Json {
  if (secret) return mask
  if (!fields && !each) return value
  // Not what the table says: nothing is known of it.
  if (!isObject(value)) return mask
  if (fields) return showTable(fields, value)
  const entries = Object.entries(value)
  return Object.fromEntries(
    entries.map(([key, inner]) => [key, isObject(inner) ? showTable(each as Fields, inner) : mask]),
  )
}
