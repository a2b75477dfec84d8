// The endpoint at which clients get tokens (RFC 6749, 3.2).
import type { Row } from '../../base/json.ts'
import type { PluginAnswer } from '../plugin.ts'
import { answer, clientChallenge, type Fault, faults, isFault } from './answers.ts'
import { provenClient, shownClient } from './client.ts'
import { type Ask, faultOfRequest, faultOfUser, hasProvisionKey, scopesOf } from './endpoints.ts'

/** What a client learns of a token; one that never ends has no `expires_in`. */
export interface TokenReply {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in: number | undefined
  readonly refresh_token: string | undefined
}

export function tokenReply({ access_token, token_type, expires_in, refresh_token }: Row): TokenReply {
  return {
    access_token: String(access_token),
    token_type: String(token_type),
    expires_in: Number(expires_in) > 0 ? Number(expires_in) : undefined,
    refresh_token: typeof refresh_token === 'string' ? refresh_token : undefined,
  }
}

export async function issue(ask: Ask): Promise<PluginAnswer> {
  const { state } = ask.told.values
  const refused = faultOfRequest(ask)
  if (refused) return answer(400, { ...refused, state })
  const shown = shownClient(ask.request, ask.told)
  const client = await provenClient(shown, ask.catalog)
  if (!client) {
    const [status, headers] = shown.byHeader ? [401, clientChallenge] : [400, {}]
    return answer(status, { ...faults.client, state }, headers)
  }
  const grant = grantOf(ask)
  // Of several the last one that is wrong is told.
  const fault = faultOfRedirect(ask, client) ?? (grant ? undefined : faults.grantType)
  const result = fault ?? (await grant?.(ask, client)) ?? faults.grantType
  return answer(isFault(result) ? 400 : 200, { ...(isFault(result) ? result : tokenReply(result)), state })
}

function faultOfRedirect({ told }: Ask, { redirect_uri: registered }: Row): Fault | undefined {
  const { redirect_uri } = told.values
  const isRight = redirect_uri === undefined || (registered as readonly string[]).includes(redirect_uri)
  return isRight ? undefined : faults.otherRedirectUri
}

/** Gives a token, or says what is wrong. */
type GrantType = (ask: Ask, client: Row) => Promise<Row | Fault>

/** Undefined for one that there is not, or that is not enabled. */
function grantOf({ config, told }: Ask): GrantType | undefined {
  switch (told.values.grant_type) {
    case 'authorization_code':
      return byCode
    case 'refresh_token':
      return byRefreshToken
    case 'client_credentials':
      return config.enable_client_credentials === true ? byClientAlone : undefined
    case 'password':
      return config.enable_password_grant === true ? byUser : undefined
    default:
      return undefined
  }
}

const byCode: GrantType = async ({ request, config, told, vault }, client) => {
  const { code, redirect_uri } = told.values
  if (code === undefined) return faults.code
  const given = { code, ...(redirect_uri !== undefined && { redirect_uri }) }
  return (await vault.tokenForCode(request, config, client, given)) ?? faults.code
}

const byRefreshToken: GrantType = async ({ request, config, told, vault }, client) => {
  const { refresh_token } = told.values
  if (refresh_token === undefined) return faults.refreshToken
  return (await vault.renewed(request, config, client, refresh_token)) ?? faults.refreshToken
}

/** A client may say for whom it asks if it has the provision key. */
const byClientAlone: GrantType = async (ask, client) => {
  const { authenticated_userid: userId = null } = ask.told.values
  if (userId !== null && !hasProvisionKey(ask)) return faults.provisionKey
  return makeToken(ask, client, userId, false)
}

/** Whoever has found out that the user's password is right has the provision key. */
const byUser: GrantType = async (ask, client) => {
  const { authenticated_userid: userId = null } = ask.told.values
  return faultOfUser(ask) ?? makeToken(ask, client, userId, true)
}

async function makeToken(
  ask: Ask,
  client: Row,
  userId: string | null,
  renewable: boolean,
): Promise<Row | Fault> {
  const scopes = scopesOf(ask)
  if (isFault(scopes)) return scopes
  const { request, config, vault } = ask
  return vault.makeToken(request, config, { client, userId, scope: scopes.scope }, renewable)
}
