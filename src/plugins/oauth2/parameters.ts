// What a client tells an endpoint (RFC 6749, 3.1 and 3.2), in the query string or in the body.
import type { PluginRequest } from '../plugin.ts'
import { queryValues, withoutParameter } from '../query.ts'
import { type Form, readForm } from './form.ts'

const names = [
  'response_type',
  'grant_type',
  'client_id',
  'client_secret',
  'redirect_uri',
  'scope',
  'state',
  'provision_key',
  'authenticated_userid',
  'code',
  'refresh_token',
] as const

export type ParameterName = (typeof names)[number]

export interface Told {
  /** Without those that are blank: they count as not given. */
  readonly values: Readonly<Partial<Record<ParameterName, string>>>
  /** What is wrong with the whole, e.g. a parameter that is given twice. */
  readonly fault: string | undefined
}

/** Parameters are short; more is nothing that an endpoint has to hold. */
const bodyBytesMax = 64 * 1024

/** Whoever finds one of these in a log could use it. */
const secrets = ['client_secret', 'provision_key', 'code', 'refresh_token', 'password', 'access_token']

/** The body's over those of the query string. @throws {Refusal} 413 */
export async function readParameters(request: PluginRequest): Promise<Told> {
  const form = await readForm(request, bodyBytesMax)
  const values: Partial<Record<ParameterName, string>> = {}
  let fault: string | undefined
  for (const name of names) {
    const [value, ...others] = given(name, form, request.query)
    if (value === undefined) continue
    if (others.length > 0) fault ??= `${name} is given more than once`
    if (value.includes('\0')) fault ??= `${name} has a character that is not allowed`
    values[name] = value
  }
  return { values, fault }
}

/** The request goes nowhere, and its record in a log is to hold nothing that somebody could use. */
export function forgetSecrets(request: PluginRequest): void {
  for (const name of secrets) request.query = withoutParameter(request.query, name)
  request.headers.remove('Authorization')
}

function given(name: string, form: Form | undefined, query: string | undefined): string[] {
  const inBody = (form?.values(name) ?? []).filter((value) => value !== undefined && value !== '')
  const found = inBody.length > 0 ? inBody : queryValues(query, name)
  return found.filter((value) => value !== undefined && value !== '') as string[]
}
