import { commonFields, consumerField, defineEntity } from '../../entities/define.ts'

/** A group that a consumer is in. */
export const acl = defineEntity({
  name: 'acls',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    group: { type: 'string', required: true, help: 'once for each consumer' },
  },
  lookups: [{ prefix: 'acls', by: ['consumer_id'], many: true }],
  owner: { column: 'consumer_id', path: 'acls', wrongId: 'message' },
  constraints: { acls_consumer_group: { group: 'ACL group already exist for this consumer' } },
})
