// The schemas of entities that the specification has, under the names by which routes refer to them: of `apis`, for
// instance, `apis`, `apis-list`, `apis-new`, `apis-change`, and the last two again as forms.
import type { Entity, Fields } from '../entities/define.ts'
import { plugin } from '../entities/plugin.ts'
import type { Shape } from '../entities/validate.ts'
import type { Plugin } from '../plugins/plugin.ts'
import { bodySchema, formSchema, type Purpose, rowSchema } from './field-schemas.ts'
import { PluginShapes } from './plugin-shapes.ts'
import { type Body, count, named, objectOf, type Schema, text } from './route.ts'

export function entitySchemas(
  entities: readonly Entity[],
  plugins: readonly Plugin[],
): Readonly<Record<string, Schema>> {
  const kinds = configurationShapes(plugins)
  const schemas = entities.map((entity) => {
    const shapes = entity === plugin ? kinds : [entity]
    const bodies = (purpose: Purpose) =>
      shapes.map((shape) => bodySchema(shape, purpose, [decidedBy(entity)]))
    const made = bodies('create')
    const changed = bodies('change')
    const rows = shapes.map(({ fields }) => rowSchema(fields, entity.expires))
    return {
      [entity.name]: anyOf(entity === plugin ? [...rows, foreignRow(plugins)] : rows),
      [`${entity.name}-list`]: listSchema(entity),
      [`${entity.name}-new`]: anyOf(made),
      [`${entity.name}-new-form`]: anyOf(made.map(formSchema)),
      [`${entity.name}-change`]: anyOf(changed),
      [`${entity.name}-change-form`]: anyOf(changed.map(formSchema)),
    }
  })
  return Object.assign({}, ...schemas)
}

/** The body that makes a row of `entity`, or changes one. `rule` is held against both forms of it. */
export function bodyOf(entity: Entity, purpose: 'new' | 'change', rule?: Schema): Body {
  const name = `${entity.name}-${purpose}`
  const ruled = (schema: Schema): Schema => (rule ? { allOf: [schema, rule] } : schema)
  return { json: ruled(named(name)), form: ruled(named(`${name}-form`)) }
}

/** The attribute that some path decides, and that is to be asked for where none does. */
export function decidedBy(entity: Entity): string {
  return entity.owner?.column ?? ''
}

/** A configuration of each plugin: its own table in the place of `config`, its own name in that of any. */
function configurationShapes(plugins: readonly Plugin[]): Shape[] {
  const shapes = new PluginShapes(plugins)
  return plugins.map(({ name, perConsumer }) => {
    const { consumer_id, ...fields } = shapes.fieldsOf({ name })
    const own: Fields = { ...fields, name: { ...plugin.fields.name, enum: [name] } }
    return { fields: perConsumer && consumer_id ? { ...own, consumer_id } : own }
  })
}

/** Of a plugin that another node has and this one has not. */
function foreignRow(plugins: readonly Plugin[]): Schema {
  const { properties, ...row } = rowSchema(plugin.fields)
  const name = { ...text, not: { enum: plugins.map(({ name }) => name) } }
  return { ...row, properties: { ...(properties as Record<string, Schema>), name } }
}

function listSchema(entity: Entity): Schema {
  const { properties, ...list } = objectOf({
    data: { type: 'array', items: named(entity.name) },
    total: { ...count, description: 'rows that match, on all pages' },
  })
  const next = { ...text, format: 'uri', description: 'the next page; absent on the last' }
  return { ...list, properties: { ...(properties as Record<string, Schema>), next } }
}

/** No alternative at all is what nothing matches. */
function anyOf(schemas: readonly Schema[]): Schema {
  const [first, ...others] = schemas
  if (first === undefined) return { not: {} }
  return others.length === 0 ? first : { anyOf: schemas }
}
