// Lets a request pass that carries a JSON Web Token signed with the secret, or the private key, of a consumer.
import type { Clock } from '../../base/clock.ts'
import type { JsonObject, Row } from '../../base/json.ts'
import type { Lookup } from '../../catalog/catalog.ts'
import { identifyOwner } from '../identity.ts'
import { andThen, definePlugin, type PluginRequest, Refusal } from '../plugin.ts'
import { queryValues } from '../query.ts'
import { jwtSecret } from './credential.ts'
import { KnownTokens } from './known-tokens.ts'
import { migrations } from './migrations.ts'
import { BadToken, type Token } from './token.ts'
import { Verifiers } from './verifiers.ts'

export const jwt = definePlugin({
  name: 'jwt',
  priority: 1000,
  perConsumer: false,
  config: {
    uri_param_names: {
      type: 'array',
      default: () => ['jwt'],
      help: 'query parameters in which the token is looked for, in this order',
    },
    key_claim_name: {
      type: 'string',
      default: 'iss',
      help: 'the claim that names the credential, by its `key`',
    },
    secret_is_base64: {
      type: 'boolean',
      default: false,
      help: 'the keys of credentials are base64 (of either alphabet) of what they stand for',
    },
    claims_to_verify: {
      type: 'array',
      enum: ['exp', 'nbf'],
      help: '`exp`: tokens end, `nbf`: tokens begin; a token without the claim is refused then',
    },
  },
  entities: [jwtSecret],
  migrations,
  open({ clock }) {
    const verifiers = new Verifiers()
    const tokens = new KnownTokens()
    return {
      access(request, config, { catalog }) {
        const field = onlyField(request)
        const shown = field === undefined ? undefined : tokens.shownBy(field)
        const token = shown ?? readToken(tokenOf(request, config), tokens)
        const claim = config.key_claim_name as string
        const key = Object.hasOwn(token.claims, claim) ? token.claims[claim] : undefined
        if (typeof key !== 'string') throw new Refusal(401, `No mandatory '${claim}' in claims`)
        return andThen(catalog.one(jwtSecret, byKey, key), (credential) => {
          if (!credential) throw new Refusal(403, `No credentials found for given '${claim}'`)
          if (credential.algorithm !== token.algorithm) throw new Refusal(403, 'Invalid algorithm')
          const verify = verifiers.of(credential, config.secret_is_base64 === true)
          if (!tokens.isSigned(token, verify)) throw new Refusal(403, 'Invalid signature')
          if (field !== undefined && !shown) tokens.wasShown(field, token)
          checkTimes(token, config, clock)
          const gone = () => new Refusal(403, `Could not find consumer for '${claim}=${key}'`)
          return identifyOwner(request, credential, catalog, gone)
        })
      },
    }
  },
})

const byKey = jwtSecret.lookups[0] as Lookup

/** The field that a token can be in, where it can be nowhere else. */
function onlyField({ headers, query }: PluginRequest): string | undefined {
  if (query !== undefined) return undefined
  const values = headers.all('Authorization')
  return values.length === 1 ? values[0] : undefined
}

/** The first parameter that has a token, else what the header has. @throws {Refusal} when there is none, or several */
function tokenOf(request: PluginRequest, config: JsonObject): string {
  const names = request.query === undefined ? [] : ((config.uri_param_names ?? []) as readonly string[])
  const parameters = names.map((name) => queryValues(request.query, name).filter((value) => value))
  const [token, ...others] = parameters.find(({ length }) => length > 0) ?? bearerTokens(request)
  if (token === undefined) throw new Refusal(401, 'Unauthorized')
  if (others.length > 0) throw new Refusal(401, 'Bad token; given more than once')
  return token
}

function bearerTokens({ headers }: PluginRequest): string[] {
  return headers.all('Authorization').flatMap((value) => {
    // Of a token of 500 characters a pattern takes longer than all the rest.
    const scheme = /^bearer +/i.exec(value)?.[0]
    const token = scheme && value.slice(scheme.length)
    return token && !blanks.some((blank) => token.includes(blank)) ? token : []
  })
}

/** Those that a field's value can have (RFC 9110, 5.5), and the one among bytes that are no ASCII. */
const blanks = [' ', '\t', '\xa0']

/** @throws {Refusal} when it is none */
function readToken(text: string, tokens: KnownTokens): ReturnType<KnownTokens['read']> {
  try {
    return tokens.read(text)
  } catch (error) {
    if (error instanceof BadToken) throw new Refusal(401, `Bad token; ${error.message}`)
    throw error
  }
}

/** @throws {Refusal} with each claim that does not hold now */
function checkTimes({ claims }: Token, { claims_to_verify }: JsonObject, clock: Clock): void {
  const names = (claims_to_verify ?? []) as readonly ('exp' | 'nbf')[]
  if (names.length === 0) return
  const now = clock.now() / 1000
  let faults: Record<string, string> | undefined
  for (const name of names) {
    const fault = faultOf[name](claims[name], now)
    if (fault !== undefined) faults = { ...faults, [name]: fault }
  }
  if (faults) throw new Refusal(403, faults)
}

/** Seconds since 1970 on both sides. */
const faultOf = {
  exp: (at: Row[string] | undefined, now: number) =>
    isNumber(at) ? (at > now ? undefined : 'token expired') : notNumber,
  nbf: (at: Row[string] | undefined, now: number) =>
    isNumber(at) ? (at <= now ? undefined : 'token not valid yet') : notNumber,
}
const notNumber = 'must be a number'

/** JSON has none that is infinite, but numbers too large are read as that. */
function isNumber(value: unknown): value is number {
  return Number.isFinite(value)
}
