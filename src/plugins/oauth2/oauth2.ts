// Gives codes and tokens to clients (RFC 6749), and lets requests pass that show a token (RFC 6750).
import type { Json, JsonObject, Row } from '../../base/json.ts'
import type { Lookup, View } from '../../catalog/catalog.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { identifyOwner, tell } from '../identity.ts'
import { andThen, definePlugin, type PluginAnswer, type PluginRequest } from '../plugin.ts'
import { tokenInvalid, tokenMissing } from './answers.ts'
import { oauth2Credential } from './application.ts'
import { authorize } from './authorize.ts'
import { oauth2AuthorizationCode } from './code.ts'
import { type Ask, type Endpoint, endpointOf } from './endpoints.ts'
import { issue } from './issue.ts'
import { migrations } from './migrations.ts'
import { forgetSecrets, readParameters } from './parameters.ts'
import { ambiguous, type ShownToken, takeToken } from './shown-token.ts'
import { oauth2Token } from './token.ts'
import { Vault } from './vault.ts'

export const oauth2 = definePlugin({
  name: 'oauth2',
  priority: 1000,
  perConsumer: false,
  config: {
    scopes: { type: 'array', help: 'those that there are; without it scopes are neither asked for nor told' },
    mandatory_scope: {
      type: 'boolean',
      default: false,
      check: checkMandatory,
      help: 'whoever asks for a token has to name a scope',
    },
    provision_key: {
      type: 'string',
      default: ({ random }) => random.hex(16),
      secret: true,
      help: 'proves that whoever vouches for a user may; random when absent or blank',
    },
    token_expiration: {
      type: 'number',
      default: 7200,
      check: (value) => (Number(value) < 0 ? { error: 'token_expiration cannot be negative' } : undefined),
      help: 'seconds for which access tokens are good; 0: for ever, and there are no refresh tokens',
    },
    enable_authorization_code: { type: 'boolean', default: true, help: 'make codes' },
    enable_implicit_grant: { type: 'boolean', default: false, help: 'make tokens for browsers' },
    enable_client_credentials: { type: 'boolean', default: false, help: 'make tokens for clients alone' },
    enable_password_grant: { type: 'boolean', default: false, help: 'make tokens for users at once' },
    hide_credentials: {
      type: 'boolean',
      default: false,
      help: 'remove the token from the request before it goes upstream',
    },
    accept_http_if_already_terminated: {
      type: 'boolean',
      default: false,
      help: 'take requests for codes and tokens without TLS if X-Forwarded-Proto says that they came by HTTPS',
    },
    global_credentials: {
      type: 'boolean',
      help: 'tokens made here count on every API with this plugin, as all did in 0.8',
    },
  },
  entities: [oauth2Credential, oauth2AuthorizationCode, oauth2Token],
  migrations,
  open(host) {
    const vault = new Vault(host)
    return {
      access(request, config, { catalog }) {
        const endpoint = endpointOf(request)
        if (endpoint) return serve(endpoint, request, config, catalog, vault)
        const token = takeToken(request, config.hide_credentials === true)
        return andThen(token, (token) => identifyBearer(request, token, catalog, host.clock.now()))
      },
    }
  },
})

const byAccessToken = oauth2Token.lookups[0] as Lookup
const byId = oauth2Credential.lookups[1] as Lookup

const endpoints: Readonly<Record<Endpoint, (ask: Ask) => Promise<PluginAnswer>>> = { authorize, token: issue }

async function serve(
  endpoint: Endpoint,
  request: PluginRequest,
  config: JsonObject,
  catalog: View,
  vault: Vault,
): Promise<PluginAnswer> {
  try {
    const told = await readParameters(request)
    return await endpoints[endpoint]({ request, config, told, catalog, vault })
  } finally {
    forgetSecrets(request)
  }
}

function identifyBearer(
  request: PluginRequest,
  shown: ShownToken | undefined,
  catalog: View,
  nowMs: number,
): undefined | Promise<undefined> {
  if (shown === undefined) throw tokenMissing()
  if (shown === ambiguous) throw tokenInvalid()
  return andThen(catalog.one(oauth2Token, byAccessToken, shown), (token) => {
    if (!token || !isGood(token, request.api, nowMs)) throw tokenInvalid()
    const found = catalog.one(oauth2Credential, byId, String(token.credential_id))
    return andThen(found, (client) => {
      if (!client) throw tokenInvalid()
      return andThen(identifyOwner(request, client, catalog, tokenInvalid), () => {
        tell(request.headers, 'X-Authenticated-Scope', token.scope)
        tell(request.headers, 'X-Authenticated-Userid', token.authenticated_userid)
        return undefined
      })
    })
  })
}

/** Whether the token is not over, and this API takes it. */
function isGood({ api_id, created_at, expires_in }: Row, api: Row, nowMs: number): boolean {
  const seconds = Number(expires_in)
  const isOver = seconds > 0 && nowMs - Number(created_at) > seconds * 1000
  return !isOver && (api_id == null || api_id === api.id)
}

function checkMandatory(value: Json, { scopes }: JsonObject): FieldVerdict {
  // Not coerced yet: a form has text.
  const isGiven = Array.isArray(scopes)
    ? scopes.length > 0
    : typeof scopes === 'string' && scopes.trim() !== ''
  if (value !== true || isGiven) return undefined
  return { error: 'To set a mandatory scope you also need to create available scopes' }
}
