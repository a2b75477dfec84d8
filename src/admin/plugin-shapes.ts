// What a plugin configuration must look like: the entity `plugins`, with the named plugin's own fields as `config`.
import type { JsonObject, Row } from '../base/json.ts'
import type { Fields } from '../entities/define.ts'
import { plugin } from '../entities/plugin.ts'
import type { Shape } from '../entities/validate.ts'
import type { Plugin } from '../plugins/plugin.ts'

export class PluginShapes {
  readonly #shapes: ReadonlyMap<string, Shape>

  constructor(plugins: readonly Plugin[]) {
    this.#shapes = new Map(plugins.map((definition) => [definition.name, shapeOfPlugin(definition)]))
    Object.freeze(this)
  }

  /** For the plugin that `attributes.name` says. Of one that this node does not have, no configuration is right. */
  readonly shapeOf = ({ name }: JsonObject): Shape => {
    const text = typeof name === 'string' ? name.trim() : ''
    return text === '' ? plugin : (this.#shapes.get(text) ?? unknownPlugin(text))
  }

  /** The attributes of a configuration that is stored. Of a plugin that this node does not have, `config` has none. */
  fieldsOf({ name }: Row): Fields {
    return this.#shapes.get(String(name))?.fields ?? undescribed
  }
}

const undescribed: Fields = { ...plugin.fields, config: { ...plugin.fields.config, fields: {} } }

function shapeOfPlugin({ perConsumer, config, checkConfig, example }: Plugin): Shape {
  const fields: Fields = {
    ...plugin.fields,
    config: {
      ...plugin.fields.config,
      fields: config,
      ...(example && { example }),
      check(value) {
        const error = checkConfig?.(value as JsonObject)
        return error === undefined ? undefined : { error }
      },
    },
  }
  if (perConsumer) return { fields }
  return {
    fields,
    check: (row) =>
      row.consumer_id == null ? undefined : { message: 'No consumer can be configured for that plugin' },
  }
}

/** The name is left changeable, so that a change to an unknown plugin is told as that and as nothing else. */
function unknownPlugin(name: string): Shape {
  const { immutable: _, ...nameField } = plugin.fields.name
  const fields = { ...plugin.fields, name: nameField }
  return { fields, check: () => ({ config: `Plugin "${name}" not found` }) }
}
