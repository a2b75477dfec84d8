// Lets a request pass that carries a name and a password which an LDAP directory accepts.
import { isUtf8 } from 'node:buffer'
import type { Json, JsonObject } from '../../base/json.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { shownCredential } from '../authorization.ts'
import { identifyAlone } from '../identity.ts'
import { andThen, definePlugin, type PluginHost, Refusal } from '../plugin.ts'
import { connectionFields, portField } from '../receivers.ts'
import { Directories, type Pair } from './directories.ts'

export const ldapAuth = definePlugin({
  name: 'ldap-auth',
  priority: 1000,
  config: {
    ldap_host: { type: 'string', required: true, help: 'name or address of the directory' },
    ldap_port: { ...portField, required: true, help: 'of the directory, usually 389' },
    start_tls: {
      type: 'boolean',
      default: false,
      help: 'encrypt the connection, by StartTLS, before a name or a password is sent',
    },
    verify_ldap_host: {
      type: 'boolean',
      default: false,
      help: 'with `start_tls`: take no certificate but one of that host, by an authority that the system trusts',
    },
    base_dn: { type: 'string', required: true, help: 'name of the entry under which those of users are' },
    attribute: { type: 'string', required: true, help: 'what names them there, e.g. `uid` or `cn`' },
    cache_ttl: {
      type: 'number',
      default: 60,
      help: 'seconds for which a password that was right is right without asking; 0 always asks',
    },
    hide_credentials: {
      type: 'boolean',
      default: false,
      help: 'remove name and password from the request before it goes upstream',
    },
    ...connectionFields,
    header_type: {
      type: 'string',
      check: checkScheme,
      help: 'the word before the credentials in the header, and in the challenge; `ldap` when absent',
    },
  },
  example: { ldap_host: 'ldap.example.com', ldap_port: 389, base_dn: 'dc=example,dc=com', attribute: 'uid' },
  open(host: PluginHost) {
    const directories = new Directories(host)
    return {
      access(request, config) {
        const found = shownCredential(request, config.hide_credentials === true, (value) =>
          directories.find(config, value, parsePair),
        )
        if (found === undefined) {
          const scheme = String(config.header_type ?? 'LDAP')
          throw new Refusal(401, 'Unauthorized', { 'WWW-Authenticate': `${scheme} realm="troop"` })
        }
        return andThen(found, (credential) => {
          if (!credential) throw new Refusal(403, 'Invalid authentication credentials')
          identifyAlone(request, credential)
          return undefined
        })
      },
      stop: () => directories.stop(),
    }
  },
})

/**
 * Undefined unless both are there: an empty password must not come to a directory. The name may have colons and the
 * password can't, as in 0.8.
 */
function parsePair(value: string, config: JsonObject): Pair | undefined {
  const [, scheme, encoded = ''] = /^\s*([^\s]+)\s+([A-Za-z0-9+/]+=*)\s*$/.exec(value) ?? []
  if (scheme?.toLowerCase() !== String(config.header_type ?? 'ldap').toLowerCase()) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  const [, username, password] = /^(.+):([^:]+)$/s.exec(isUtf8(bytes) ? bytes.toString() : '') ?? []
  return username && password ? { username, password } : undefined
}

/** A scheme of authentication is a token (RFC 9110, 11.1). */
function checkScheme(value: Json): FieldVerdict {
  if (/^[\w!#$%&'*+.^`|~-]+$/.test(String(value))) return undefined
  return { error: `header_type must be one word, got "${value}"` }
}
