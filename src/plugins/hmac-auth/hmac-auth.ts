// Lets a request pass that is signed with the secret of a consumer, soon after it was.
import type { Lookup } from '../../catalog/catalog.ts'
import { shownCredential } from '../authorization.ts'
import { identifyOwner } from '../identity.ts'
import { andThen, definePlugin, type PluginRequest, Refusal } from '../plugin.ts'
import { hmacauthCredential } from './credential.ts'
import { KnownDate } from './http-date.ts'
import { KnownSignatures } from './known-signatures.ts'
import { migrations } from './migrations.ts'

export const hmacAuth = definePlugin({
  name: 'hmac-auth',
  priority: 999,
  perConsumer: false,
  config: {
    hide_credentials: {
      type: 'boolean',
      default: false,
      help: 'remove the signature from the request before it goes upstream',
    },
    clock_skew: {
      type: 'number',
      default: 300,
      check: (value) => (Number(value) < 0 ? { error: 'Clock Skew should be positive' } : undefined),
      help: 'seconds by which the date of a request may be off, either way',
    },
  },
  entities: [hmacauthCredential],
  migrations,
  open({ clock }) {
    const signatures = new KnownSignatures()
    const dates = new KnownDate()
    return {
      access(request, config, { catalog }) {
        const isTimely = isDated(request, Number(config.clock_skew), clock.now(), dates)
        let why = isTimely ? unverifiable : noDate
        const found = shownCredential(request, config.hide_credentials === true, (value) => {
          const signed = isTimely ? signatures.read(value) : undefined
          if (!signed) return null
          return andThen(catalog.one(hmacauthCredential, byUsername, signed.username), (credential) => {
            // By a secret that is not there anybody could sign.
            if (!credential?.secret) return null
            if (signatures.isRight(value, signed, request.incoming, credential)) return credential
            why = mismatch
            return null
          })
        })
        if (found === undefined) throw new Refusal(401, 'Unauthorized')
        return andThen(found, (credential) => {
          if (!credential) throw new Refusal(403, why)
          return identifyOwner(request, credential, catalog, () => new Refusal(403, unverifiable))
        })
      },
    }
  },
})

const byUsername = hmacauthCredential.lookups[0] as Lookup

const unverifiable = 'HMAC signature cannot be verified'
const noDate = `${unverifiable}, a valid date or x-date header is required for HMAC Authentication`
const mismatch = 'HMAC signature does not match'

/** Whether a header says a time that is near enough. It need not be signed, and the other one may say anything. */
function isDated({ headers }: PluginRequest, skewSeconds: number, now: number, dates: KnownDate): boolean {
  for (const name of ['X-Date', 'Date']) {
    const values = headers.all(name)
    const date = values.length === 1 ? dates.parse(values[0] as string, now) : undefined
    if (date !== undefined && Math.abs(now - date) <= skewSeconds * 1000) return true
  }
  return false
}
