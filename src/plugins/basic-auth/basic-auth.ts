// Lets a request pass that carries the name and the password of a consumer (RFC 7617).
import { isUtf8 } from 'node:buffer'
import type { Row } from '../../base/json.ts'
import type { Lookup, View } from '../../catalog/catalog.ts'
import { shownCredential } from '../authorization.ts'
import { identifyOwner } from '../identity.ts'
import { andThen, definePlugin, Refusal } from '../plugin.ts'
import { basicauthCredential } from './credential.ts'
import { migrations } from './migrations.ts'
import { Passwords } from './passwords.ts'

export const basicAuth = definePlugin({
  name: 'basic-auth',
  priority: 1000,
  perConsumer: false,
  config: {
    hide_credentials: {
      type: 'boolean',
      default: false,
      help: 'remove name and password from the request before it goes upstream',
    },
  },
  entities: [basicauthCredential],
  migrations,
  open(host) {
    const passwords = new Passwords(host)
    return {
      access(request, config, { catalog }) {
        const found = shownCredential(request, config.hide_credentials === true, (value) =>
          provenBy(value, catalog, passwords),
        )
        if (found === undefined)
          throw new Refusal(401, 'Unauthorized', { 'WWW-Authenticate': 'Basic realm="troop"' })
        return andThen(found, (credential) => {
          if (!credential) throw invalid()
          return identifyOwner(request, credential, catalog, invalid)
        })
      },
      stop: () => passwords.stop(),
    }
  },
})

const byUsername = basicauthCredential.lookups[0] as Lookup

type Proven = Row | null | Promise<Row | null>

/** The credential whose name and password `value` has, or null. */
function provenBy(value: string, catalog: View, passwords: Passwords): Proven {
  const shown = passwords.shownBy(value)
  if (shown === undefined) return readFrom(value, catalog, passwords)
  return andThen(catalog.one(basicauthCredential, byUsername, shown.username), (credential) =>
    passwords.stillHas(credential, shown) ? credential : readFrom(value, catalog, passwords),
  )
}

function readFrom(value: string, catalog: View, passwords: Passwords): Proven {
  const pair = parsePair(value)
  if (!pair) return null
  const { username, password } = pair
  return andThen(catalog.one(basicauthCredential, byUsername, username), (credential) =>
    andThen(passwords.isRight(credential, username, password), (isRight) => {
      if (!isRight || !credential) return null
      passwords.wasShown(value, username, credential)
      return credential
    }),
  )
}

/** Undefined unless both are there. The password may have colons, the name can't. */
function parsePair(value: string): { username: string; password: string } | undefined {
  const encoded = /^basic\s*([A-Za-z0-9+/]+=*)$/i.exec(value)?.[1]
  if (encoded === undefined) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  if (!isUtf8(bytes)) return undefined
  const text = bytes.toString()
  const colon = text.indexOf(':')
  if (colon < 1 || colon === text.length - 1) return undefined
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

function invalid(): Refusal {
  return new Refusal(403, 'Invalid authentication credentials')
}
