// The kinds of credentials that consumers have: how each is made and shown. What must hold of all of them goes through
// this list; a new kind is a new entry.
import type { JsonObject } from '../../src/base/json.ts'
import { basic } from './passwords.ts'
import { signedByDate } from './signing.ts'
import { signedToken } from './token.ts'

export interface CredentialKind {
  /** The plugin that asks for one. */
  readonly plugin: string
  /** One by which consumers are known before, where the plugin does not know them by itself. */
  readonly after?: string
  /** How it is configured where those by one name alone may pass, if that has to be said. */
  readonly config?: (name: string) => JsonObject
  /** The last part of where they are made, under their consumer; default: as the plugin. */
  readonly path?: string
  /** Its table. */
  readonly entity: string
  /** What keys of its cache entries begin with, where its name follows. */
  readonly family?: string
  /** The attribute by which it is found. */
  readonly name: string
  /** The attribute that proves it, where the name alone does not. */
  readonly secret?: string
  /** Whether several may have one name, each of them another consumer's. */
  readonly isShared?: boolean
  /** What a consumer has to have before, by the last part of its path. */
  readonly needs?: (consumer: string) => { readonly path: string; readonly attributes: JsonObject }
  /** Where they are made, unless under their consumer; they name then what it needs as `owner`. */
  readonly collection?: { readonly path: string; readonly owner: string; readonly attributes: JsonObject }
  /** Answer to a request that shows none that counts. */
  readonly refused: number
  /** Headers of a request that shows it, good for a while. */
  show(shown: Shown): Readonly<Record<string, string>>
}

/** What a request says. */
export interface Shown {
  readonly name: string
  readonly secret: string
  /** Who says it, where that has to be said besides. */
  readonly by: string
}

export const credentialKinds: readonly CredentialKind[] = [
  {
    ...{ plugin: 'key-auth', entity: 'keyauth_credentials', family: 'keyauth_credentials', name: 'key' },
    refused: 403,
    show: ({ name }) => ({ apikey: name }),
  },
  {
    ...{ plugin: 'basic-auth', entity: 'basicauth_credentials', family: 'basicauth_credentials' },
    ...{ name: 'username', secret: 'password' },
    refused: 403,
    show: ({ name, secret }) => ({ authorization: basic(name, secret) }),
  },
  {
    ...{ plugin: 'hmac-auth', entity: 'hmacauth_credentials', family: 'hmacauth_credentials' },
    ...{ name: 'username', secret: 'secret' },
    refused: 403,
    show: ({ name, secret }) => signedByDate(name, secret),
  },
  {
    ...{ plugin: 'jwt', entity: 'jwt_secrets', family: 'jwtauth_credentials', name: 'key', secret: 'secret' },
    refused: 403,
    show: ({ name, secret }) => ({ authorization: `Bearer ${signedToken({ iss: name }, secret)}` }),
  },
  {
    ...{ plugin: 'oauth2', entity: 'oauth2_tokens', family: 'oauth2_token', name: 'access_token' },
    needs: (consumer) => ({
      path: 'oauth2',
      attributes: { name: `an app of ${consumer}`, redirect_uri: ['https://app.test/'] },
    }),
    collection: { path: '/oauth2_tokens', owner: 'credential_id', attributes: { expires_in: 0 } },
    refused: 401,
    show: ({ name }) => ({ authorization: `Bearer ${name}` }),
  },
  {
    ...{ plugin: 'acl', after: 'key-auth', path: 'acls', entity: 'acls', name: 'group', isShared: true },
    config: (name) => ({ whitelist: [name] }),
    needs: (consumer) => ({ path: 'key-auth', attributes: { key: `key of ${consumer}` } }),
    refused: 403,
    show: ({ by }) => ({ apikey: `key of ${by}` }),
  },
]
