// What clients are told, byte for byte as in 0.8.
import { type PluginAnswer, Refusal } from '../plugin.ts'

/** What went wrong (RFC 6749, 4.1.2.1 and 5.2). */
export interface Fault {
  readonly error: string
  readonly error_description: string
}

const fault = (error: string, error_description: string): Fault => ({ error, error_description })

export const faults = {
  notHttps: fault('access_denied', 'You must use HTTPS'),
  severalProtos: fault('access_denied', 'Only one X-Forwarded-Proto header allowed'),
  provisionKey: fault('invalid_provision_key', 'Invalid Kong provision_key'),
  userId: fault('invalid_authenticated_userid', 'Missing authenticated_userid parameter'),
  responseType: fault('unsupported_response_type', 'Invalid response_type'),
  grantType: fault('unsupported_grant_type', 'Invalid grant_type'),
  noScope: fault('invalid_scope', 'You must specify a scope'),
  scope: (name: string) => fault('invalid_scope', `"${name}" is an invalid scope`),
  client: fault('invalid_client', 'Invalid client authentication'),
  redirectUri: fault(
    'invalid_request',
    'Invalid redirect_uri that does not match with any redirect_uri created with the application',
  ),
  otherRedirectUri: fault(
    'invalid_request',
    'Invalid redirect_uri that does not match with the one created with the application',
  ),
  code: fault('invalid_request', 'Invalid code'),
  refreshToken: fault('invalid_request', 'Invalid refresh_token'),
  request: (description: string) => fault('invalid_request', description),
} as const

export function isFault(result: object): result is Fault {
  return 'error' in result
}

/** Of an endpoint: not to be kept by anybody on the way (RFC 6749, 5.1). */
export function answer(
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): PluginAnswer {
  return { status, body, headers: { 'Cache-Control': 'no-store', Pragma: 'no-cache', ...headers } }
}

/** The challenge to a client that tried to prove itself by the header. */
export const clientChallenge = { 'WWW-Authenticate': 'Basic realm="OAuth2.0"' } as const

export function tokenMissing(): Refusal {
  return new Refusal(401, fault('invalid_request', 'The access token is missing'), {
    'WWW-Authenticate': 'Bearer realm="service"',
  })
}

export function tokenInvalid(): Refusal {
  const { error, error_description: description } = fault(
    'invalid_token',
    'The access token is invalid or has expired',
  )
  const challenge = `Bearer realm="service" error="${error}" error_description="${description}"`
  return new Refusal(401, fault(error, description), { 'WWW-Authenticate': challenge })
}
