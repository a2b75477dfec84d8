import { coreFields, defineEntity } from './define.ts'

/** Who calls: a person or a program, known by credentials. */
export const consumer = defineEntity({
  name: 'consumers',
  alias: 'username',
  fields: {
    ...coreFields,
    username: { type: 'string', help: 'unique; may stand for the id in a path' },
    custom_id: { type: 'string', help: 'unique; the id that your own system has for this consumer' },
  },
  lookups: [{ prefix: 'consumers', by: ['id'] }],
  atLeastOneOf: ['custom_id', 'username'],
})
