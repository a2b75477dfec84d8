import { commonFields, consumerField, defineEntity } from '../../entities/define.ts'

/** A name by which a consumer signs requests, and with what. */
export const hmacauthCredential = defineEntity({
  name: 'hmacauth_credentials',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    username: { type: 'string', required: true, help: 'unique' },
    secret: { type: 'string', secret: true, help: 'signs requests; without it none is taken' },
  },
  lookups: [{ prefix: 'hmacauth_credentials', by: ['username'] }],
  owner: { column: 'consumer_id', path: 'hmac-auth', wrongId: 'message' },
})
