import { commonFields, consumerField, defineEntity } from '../../entities/define.ts'

/** A key by which a consumer is known. */
export const keyauthCredential = defineEntity({
  name: 'keyauth_credentials',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    key: {
      type: 'string',
      default: ({ random }) => random.hex(16),
      secret: true,
      help: 'unique; 32 random hex digits when absent or blank',
    },
  },
  lookups: [{ prefix: 'keyauth_credentials', by: ['key'] }],
  owner: { column: 'consumer_id', path: 'key-auth' },
})
