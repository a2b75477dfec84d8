import type { Row } from '../base/json.ts'
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
  check({ username, custom_id }: Row) {
    if (username || custom_id) return undefined
    const text = "At least a 'custom_id' or a 'username' must be specified"
    return { username: text, custom_id: text }
  },
})
