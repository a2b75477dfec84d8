import { commonFields, consumerField, defineEntity } from '../../entities/define.ts'
import { algorithmNames } from './algorithms.ts'

/** What the tokens of a consumer are signed with, or verified by. */
export const jwtSecret = defineEntity({
  name: 'jwt_secrets',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    key: {
      type: 'string',
      default: ({ random }) => random.hex(16),
      help: 'unique; what tokens name it by; 32 random hex digits when absent or blank',
    },
    secret: {
      type: 'string',
      default: ({ random }) => random.hex(16),
      secret: true,
      help: 'unique; signs tokens of the HS algorithms; 32 random hex digits when absent or blank',
    },
    algorithm: {
      type: 'string',
      default: 'HS256',
      enum: algorithmNames,
      help: 'the only one that its tokens may be signed by',
    },
    rsa_public_key: { type: 'string', help: 'in PEM; verifies tokens of the RS and ES algorithms' },
  },
  lookups: [{ prefix: 'jwtauth_credentials', by: ['key'] }],
  owner: { column: 'consumer_id', path: 'jwt', wrongId: 'message' },
})
