import { commonFields, defineEntity } from '../../entities/define.ts'

/** A pair of tokens, or an access token alone. */
export const oauth2Token = defineEntity({
  name: 'oauth2_tokens',
  fields: {
    ...commonFields,
    credential_id: { type: 'id', required: true, references: 'oauth2_credentials', help: 'whose it is' },
    token_type: { type: 'string', enum: ['bearer'], default: 'bearer' },
    expires_in: {
      type: 'number',
      required: true,
      check: (value) => (Number(value) < 0 ? { error: 'expires_in cannot be negative' } : undefined),
      help: 'seconds for which the access token is good, from created_at; 0: for ever',
    },
    access_token: {
      type: 'string',
      default: ({ random }) => random.hex(16),
      secret: true,
      help: 'unique; 32 random hex digits when absent or blank',
    },
    refresh_token: { type: 'string', secret: true, help: 'unique; without one it is not renewed' },
    authenticated_userid: { type: 'string', help: 'what the upstream is told of the user' },
    scope: { type: 'string', help: 'what the upstream is told that is allowed, separated by blanks' },
    api_id: { type: 'id', references: 'apis', help: 'the only API that takes it; unset: any' },
    expires_at: {
      type: 'timestamp',
      readOnly: true,
      help: 'when it is removed, refresh token and all; unset: never',
    },
  },
  lookups: [{ prefix: 'oauth2_token', by: ['access_token'] }],
  collection: { path: 'oauth2_tokens', wrongId: 'message' },
  expires: 'expires_at',
})

/** From when on nobody is expected to come back with a refresh token. */
export const tokenLifetimeMs = 14 * 24 * 3_600_000
