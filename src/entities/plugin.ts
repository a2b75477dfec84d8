import { coreFields, defineEntity } from './define.ts'

/**
 * One plugin configured for an API or for all, and for one consumer or for everybody. What `config` may hold is the named
 * plugin's own field table, so it is checked where plugins are known: in the Admin API.
 */
export const plugin = defineEntity({
  name: 'plugins',
  fields: {
    ...coreFields,
    name: { type: 'string', required: true, immutable: true, help: 'a plugin that this node has' },
    // Who blanks it by mistake is not to have it apply everywhere.
    api_id: {
      type: 'id',
      lasting: true,
      references: 'apis',
      help: 'applies to this API alone; without it to all',
    },
    consumer_id: { type: 'id', references: 'consumers', help: 'applies to this consumer alone' },
    config: { type: 'table', default: {}, help: "as the plugin's schema says" },
    enabled: { type: 'boolean', default: true },
  },
  // A request costs two lookups however many plugins exist: all of its API, those of all APIs among them, are one entry, and
  // all of a consumer, for whatever API, are another one. Those of all APIs are few, one for each plugin at the most.
  lookups: [
    { prefix: 'plugins', by: ['api_id', 'consumer_id'], many: true, everywhere: true },
    { prefix: 'consumer_plugins', by: ['consumer_id'], many: true },
  ],
})
