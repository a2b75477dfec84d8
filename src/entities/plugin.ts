import { coreFields, defineEntity } from './define.ts'

/**
 * One plugin configured for an API, or for one consumer of an API. What `config` may hold is the named plugin's
 * own field table, so it is checked where plugins are known: in the Admin API.
 */
export const plugin = defineEntity({
  name: 'plugins',
  fields: {
    ...coreFields,
    name: { type: 'string', required: true, immutable: true, help: 'a plugin that this node has' },
    api_id: { type: 'id', required: true, references: 'apis' },
    consumer_id: { type: 'id', references: 'consumers', help: 'applies to this consumer alone' },
    config: { type: 'table', default: {}, help: "as the plugin's schema says" },
    enabled: { type: 'boolean', default: true },
  },
  // All plugins of an API are one entry, so that a request costs two lookups however many plugins exist.
  lookups: [{ prefix: 'plugins', by: ['api_id', 'consumer_id'], many: true }],
})
