import { commonFields, consumerField, defineEntity } from '../../entities/define.ts'
import { hashPassword } from './password-hash.ts'

/** A name and a password by which a consumer is known. */
export const basicauthCredential = defineEntity({
  name: 'basicauth_credentials',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    username: { type: 'string', required: true, help: 'unique' },
    password: {
      type: 'string',
      secret: true,
      seal: hashPassword,
      help: 'kept, and shown, as its argon2id hash; without one nobody gets in by this name',
    },
  },
  lookups: [{ prefix: 'basicauth_credentials', by: ['username'] }],
  owner: { column: 'consumer_id', path: 'basic-auth' },
})
