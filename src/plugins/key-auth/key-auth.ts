// Lets a request pass that carries a known key, in its query string or in a header.
import type { JsonObject } from '../../base/json.ts'
import type { Lookup, View } from '../../catalog/catalog.ts'
import { identifyOwner } from '../identity.ts'
import { andThen, definePlugin, type PluginRequest, Refusal } from '../plugin.ts'
import { queryValues, withoutParameter } from '../query.ts'
import { keyauthCredential } from './credential.ts'
import { migrations } from './migrations.ts'

export const keyAuth = definePlugin({
  name: 'key-auth',
  priority: 1000,
  perConsumer: false,
  config: {
    key_names: {
      type: 'array',
      required: true,
      default: () => ['apikey'],
      help: 'query parameters and headers in which the key is looked for, in this order',
    },
    hide_credentials: {
      type: 'boolean',
      default: false,
      help: 'remove the key from the request before it goes upstream',
    },
  },
  entities: [keyauthCredential],
  migrations,
  phases: {
    access(request, config, { catalog }) {
      const keys = takeKeys(request, config)
      if (keys.length > 0) return authenticate(request, keys, catalog)
      throw new Refusal(401, 'No API Key found in headers, body or querystring', {
        'WWW-Authenticate': 'Key realm="troop"',
      })
    },
  },
})

const byKey = keyauthCredential.lookups[0] as Lookup

/** A key that can't be any credential's: given several times, so that it is not clear which one is meant. */
const ambiguous = Symbol('ambiguous')
type Key = string | typeof ambiguous

/**
 * The keys to try, that of the query string first. Hidden ones are removed here, so that they reach neither the
 * upstream nor a log, whatever becomes of the request. A name without a value counts as absent.
 */
function takeKeys(request: PluginRequest, config: JsonObject): Key[] {
  const names = config.key_names as readonly string[]
  const hide = config.hide_credentials === true
  const keys: Key[] = []
  for (const name of names) {
    const key = oneOf(queryValues(request.query, name))
    if (key === undefined) continue
    if (hide) request.query = withoutParameter(request.query, name)
    keys.push(key)
    break
  }
  for (const name of names) {
    const key = oneOf(request.headers.all(name))
    if (key === undefined) continue
    if (hide) request.headers.remove(name)
    keys.push(key)
    break
  }
  return keys
}

function oneOf(values: readonly (string | undefined)[]): Key | undefined {
  if (values.length > 1) return ambiguous
  return values[0] === '' ? undefined : values[0]
}

function authenticate(
  request: PluginRequest,
  [key, ...others]: readonly Key[],
  catalog: View,
): undefined | Promise<undefined> {
  if (key === undefined) throw invalid()
  if (key === ambiguous) return authenticate(request, others, catalog)
  return andThen(catalog.one(keyauthCredential, byKey, key), (credential) =>
    credential
      ? identifyOwner(request, credential, catalog, invalid)
      : authenticate(request, others, catalog),
  )
}

function invalid(): Refusal {
  return new Refusal(403, 'Invalid authentication credentials')
}
