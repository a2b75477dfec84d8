// The kinds of credentials that consumers have: how each is made and shown. What must hold of all of them goes through
// this list; a new kind is a new entry.
import type { JsonObject } from '../../src/base/json.ts'
import { basic } from './passwords.ts'
import { signedByDate } from './signing.ts'
import { signedToken } from './token.ts'

export interface CredentialKind {
  /** The plugin that asks for one, and the last part of where they are made: `/consumers/{consumer}/<plugin>`. */
  readonly plugin: string
  /** What keys of its cache entries begin with; its name follows. */
  readonly family: string
  /** The attribute by which it is found. */
  readonly name: string
  /** The attribute that proves it, where the name alone does not. */
  readonly secret?: string
  /** Headers of a request that shows it, good for a while. */
  show(name: string, secret: string): Readonly<Record<string, string>>
}

export const credentialKinds: readonly CredentialKind[] = [
  {
    ...{ plugin: 'key-auth', family: 'keyauth_credentials', name: 'key' },
    show: (name) => ({ apikey: name }),
  },
  {
    ...{ plugin: 'basic-auth', family: 'basicauth_credentials', name: 'username', secret: 'password' },
    show: (name, secret) => ({ authorization: basic(name, secret) }),
  },
  {
    ...{ plugin: 'hmac-auth', family: 'hmacauth_credentials', name: 'username', secret: 'secret' },
    show: (name, secret) => signedByDate(name, secret),
  },
  {
    ...{ plugin: 'jwt', family: 'jwtauth_credentials', name: 'key', secret: 'secret' },
    show: (name, secret) => ({ authorization: `Bearer ${signedToken({ iss: name }, secret)}` }),
  },
]

/** The attributes of one. */
export function credentialOf(kind: CredentialKind, name: string, secret: string): JsonObject {
  return { [kind.name]: name, ...(kind.secret && { [kind.secret]: secret }) }
}
