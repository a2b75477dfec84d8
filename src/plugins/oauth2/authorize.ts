// The endpoint at which a provider's page, which has found out who the user is, has a code or a token made for a client
// (RFC 6749, 4.1.1 and 4.2.1).
import type { Row } from '../../base/json.ts'
import type { PluginAnswer } from '../plugin.ts'
import { answer, type Fault, faults, isFault } from './answers.ts'
import { clientById } from './client.ts'
import { type Ask, faultOfRequest, faultOfUser, scopesOf } from './endpoints.ts'
import { tokenReply } from './issue.ts'
import { type Parameters, withParameters } from './redirect.ts'

export async function authorize(ask: Ask): Promise<PluginAnswer> {
  const { state, client_id } = ask.told.values
  const refused = faultOfRequest(ask) ?? faultOfUser(ask)
  if (refused) return answer(400, { ...refused, state })
  const client = await clientById(client_id, ask.catalog)
  if (!client) return answer(400, { ...faults.client, state })
  const registered = client.redirect_uri as readonly string[]
  const asked = ask.told.values.redirect_uri
  const isRegistered = asked === undefined || registered.includes(asked)
  const uri = isRegistered ? (asked ?? registered[0]) : registered[0]
  // Somebody wrote the table by hand: there is nowhere to send anything.
  if (uri === undefined) return answer(400, { ...faults.redirectUri, state })
  const scopes = scopesOf(ask)
  // Of several the last one that is wrong is told.
  const fault =
    (isRegistered ? undefined : faults.redirectUri) ??
    (isFault(scopes) ? scopes : undefined) ??
    faultOfResponseType(ask)
  const send = (status: number, parameters: Parameters) =>
    answer(status, { redirect_uri: withParameters(uri, { ...parameters, state }) })
  if (fault || isFault(scopes)) return send(400, { ...(fault ?? faults.noScope) })
  return send(200, await grantedTo(ask, client, scopes.scope, uri))
}

function faultOfResponseType({ config, told }: Ask): Fault | undefined {
  const { response_type } = told.values
  const isCode = response_type === 'code' && config.enable_authorization_code === true
  const isToken = response_type === 'token' && config.enable_implicit_grant === true
  return isCode || isToken ? undefined : faults.responseType
}

async function grantedTo(
  { request, config, told, vault }: Ask,
  client: Row,
  scope: string | null,
  uri: string,
): Promise<Parameters> {
  const grant = { client, userId: told.values.authenticated_userid ?? null, scope }
  if (told.values.response_type === 'code') {
    const { code } = await vault.makeCode(request, config, grant, uri)
    return { code: String(code) }
  }
  return { ...tokenReply(await vault.makeToken(request, config, grant, false)) }
}
