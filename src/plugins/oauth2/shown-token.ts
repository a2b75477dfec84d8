// The access token that a request shows: in its query string, in a header, or in a form (RFC 6750, 2).
import { type PluginRequest, Refusal } from '../plugin.ts'
import { queryValues, withoutParameter } from '../query.ts'
import { hasForm, readForm } from './form.ts'

/** Several, so that it is not clear which one is meant. */
export const ambiguous = Symbol('ambiguous')
export type ShownToken = string | typeof ambiguous

const parameter = 'access_token'

/** A form that is larger is taken for one without a token, rather than held for whoever has none. */
const formBytesMax = 1024 * 1024

/**
 * Undefined when there is none. A body is looked at only where there is none elsewhere: others pass as they come.
 * @param isHidden  whether what shows it is removed, so that it reaches neither the upstream nor a log
 */
export function takeToken(
  request: PluginRequest,
  isHidden: boolean,
): ShownToken | undefined | Promise<ShownToken | undefined> {
  const inQuery = oneOf(queryValues(request.query, parameter))
  if (inQuery !== undefined) {
    if (isHidden) request.query = withoutParameter(request.query, parameter)
    return inQuery
  }
  const inHeader = oneOf(request.headers.all('Authorization').map(bearerOf))
  if (inHeader !== undefined) {
    if (isHidden) request.headers.remove('Authorization')
    return inHeader
  }
  return hasForm(request) ? takeFromForm(request, isHidden) : undefined
}

async function takeFromForm(request: PluginRequest, isHidden: boolean): Promise<ShownToken | undefined> {
  const form = await readForm(request, formBytesMax).catch((error) => {
    if (error instanceof Refusal) return undefined
    throw error
  })
  const token = oneOf(form?.values(parameter) ?? [])
  if (form && token !== undefined && isHidden) request.setBody(form.without(parameter))
  return token
}

function bearerOf(header: string): string | undefined {
  return /^\s*(?:bearer|token)\s+(\S+)\s*$/i.exec(header)?.[1]
}

function oneOf(values: readonly (string | undefined)[]): ShownToken | undefined {
  let found: string | undefined
  for (const value of values) {
    if (value === undefined || value === '') continue
    if (found !== undefined) return ambiguous
    found = value
  }
  return found
}
