import { commonFields, defineEntity } from '../../entities/define.ts'

/**
 * What a client gives for its first tokens, once: nobody caches codes, and the datastore gives each away by deleting it.
 * It is good for the client and the API that it was made for.
 */
export const oauth2AuthorizationCode = defineEntity({
  name: 'oauth2_authorization_codes',
  fields: {
    ...commonFields,
    code: { type: 'string', secret: true },
    credential_id: { type: 'id', references: 'oauth2_credentials' },
    api_id: { type: 'id', references: 'apis', help: 'where tokens made of it count; everywhere if unset' },
    redirect_uri: { type: 'string', help: 'where it was sent to' },
    authenticated_userid: { type: 'string' },
    scope: { type: 'string' },
    expires_at: { type: 'timestamp', help: '300 s after it was made' },
  },
  lookups: [],
  logged: false,
  expires: 'expires_at',
})
