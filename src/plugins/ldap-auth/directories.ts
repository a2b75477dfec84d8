// The directories that one worker thread asks, and what they said: remembered for as long as a configuration allows.
import { createHash } from 'node:crypto'
import { createSecureContext, getCACertificates, rootCertificates, type SecureContext } from 'node:tls'
import QuickLRU from 'quick-lru'
import { ageMs, type Moment, momentOf } from '../../base/clock.ts'
import type { JsonObject, Row } from '../../base/json.ts'
import { Throttle } from '../../base/throttle.ts'
import { KeyedDigest } from '../keyed-digest.ts'
import { type PluginHost, Refusal } from '../plugin.ts'
import { boundedMs, connectionTimes } from '../receivers.ts'
import { Directory } from './directory.ts'
import type { Place } from './directory-connection.ts'
import { nameWithin } from './distinguished-name.ts'

/** Credentials that a thread remembers, some 600 bytes each; quick-lru may hold twice as many. */
const rememberedMax = 10_000

/** How often it is said that a directory is away. */
const sayEveryMs = 10_000

interface Verified {
  readonly since: Moment
  readonly credential: Row
}

export interface DirectoriesHost extends Pick<PluginHost, 'clock' | 'random' | 'logger'> {
  /** Authorities (PEM) that are trusted besides the system's, and those of NODE_EXTRA_CA_CERTS. */
  readonly authorities?: readonly string[]
}

export class Directories {
  readonly #host: DirectoriesHost
  readonly #directories = new Map<string, Directory>()
  /** By a keyed digest of all that was asked: memory holds no password, and no directory speaks for another one. */
  readonly #verified = new QuickLRU<string, Verified>({ maxSize: rememberedMax })
  /** The same, by digests of the headers that showed it. */
  readonly #shown = new QuickLRU<string, Verified>({ maxSize: rememberedMax })
  readonly #scopes = new WeakMap<JsonObject, string>()
  readonly #asked = new Map<string, Promise<Row | null>>()
  readonly #digest: KeyedDigest
  readonly #troubles: Throttle
  #trouble: { readonly count: number; readonly error: unknown } | undefined
  #context: SecureContext | undefined

  constructor(host: DirectoriesHost) {
    this.#host = host
    this.#digest = new KeyedDigest(host.random)
    this.#troubles = new Throttle(host.clock, sayEveryMs, () => this.#sayTrouble())
  }

  /**
   * The credential that the name and the password in `header` are in the directory of `config`; null when it says that
   * they are none, or when there are none. Only what is right is remembered, for `cache_ttl` seconds.
   *
   * @param parse  reads the header: a name and a password, neither of them empty
   * @throws {Refusal} 503 when that can't be told, or too many wait to be told
   */
  find(
    config: JsonObject,
    header: string,
    parse: (header: string, config: JsonObject) => Pair | undefined,
  ): Row | null | Promise<Row | null> {
    const scope = this.#scopeOf(config)
    const shown = this.#digest.of(`${scope}${header}`)
    const seen = this.#fresh(this.#shown.get(shown), config)
    if (seen) return seen.credential
    const pair = parse(header, config)
    if (!pair) return null
    const { username, password } = pair
    const question = this.#digest.of(`${scope}${username.length} ${username}${password}`)
    const known = this.#fresh(this.#verified.get(question), config)
    if (!known) return this.#asked.get(question) ?? this.#ask(question, { config, username, password })
    this.#shown.set(shown, known)
    return known.credential
  }

  stop(): void {
    for (const directory of this.#directories.values()) directory.stop()
    this.#sayTrouble()
  }

  #ask(question: string, about: Question): Promise<Row | null> {
    const { config, username, password } = about
    const place = placeOf(config)
    const dn = nameWithin(String(config.base_dn), String(config.attribute), username)
    const directory = this.#directoryAt(place, config)
    if (directory.isCrowded) throw comeAgain('Too many passwords are being checked')
    // Before it is asked: what it says may be old already when it arrives, and never is younger than this.
    const since = momentOf(this.#host.clock)
    const asked = directory
      .isRight(dn, password)
      .then((isRight) => {
        if (!isRight) return null
        const credential = { id: idOf(place, dn), username }
        if (Number(config.cache_ttl) > 0) this.#verified.set(question, { since, credential })
        return credential
      })
      .catch((error) => {
        this.#trouble = { count: (this.#trouble?.count ?? 0) + 1, error }
        this.#troubles.call()
        throw comeAgain(
          'The directory cannot be asked, and whether the credentials are right is not known without it',
        )
      })
      .finally(() => this.#asked.delete(question))
    this.#asked.set(question, asked)
    return asked
  }

  /** Undefined as well when it was verified longer ago than `config` allows. */
  #fresh(known: Verified | undefined, { cache_ttl }: JsonObject): Verified | undefined {
    return known && ageMs(this.#host.clock, known.since) < Number(cache_ttl) * 1000 ? known : undefined
  }

  /** Where a configuration looks for names, and in which headers, made once for each: always as long. */
  #scopeOf(config: JsonObject): string {
    const known = this.#scopes.get(config)
    if (known !== undefined) return known
    const { base_dn, attribute, header_type } = config
    const scope = this.#digest.of(JSON.stringify([placeOf(config), base_dn, attribute, header_type ?? null]))
    this.#scopes.set(config, scope)
    return scope
  }

  #directoryAt(place: Place, config: JsonObject): Directory {
    const { keepaliveMs } = connectionTimes(config)
    const key = JSON.stringify([place, keepaliveMs])
    const known = this.#directories.get(key)
    if (known) return known
    // Configurations change: what nobody asks any more has closed its connections by itself.
    for (const [key, directory] of this.#directories) if (directory.isUnused) this.#directories.delete(key)
    const { clock } = this.#host
    const directory = new Directory({ ...place, keepaliveMs, clock, context: () => this.#trust() })
    this.#directories.set(key, directory)
    return directory
  }

  /** Made when first asked for: some hundred certificates take a hundred milliseconds. */
  #trust(): SecureContext {
    if (!this.#context) {
      const system = getCACertificates('system')
      // A system may have no list of its own, a bare container for one: then Node's stands in.
      const usual = system.length > 0 ? system : rootCertificates
      const ca = [...usual, ...getCACertificates('extra'), ...(this.#host.authorities ?? [])]
      this.#context = createSecureContext({ ca })
    }
    return this.#context
  }

  #sayTrouble(): void {
    if (!this.#trouble) return
    const { count: requests, error } = this.#trouble
    this.#trouble = undefined
    this.#host.logger.error('requests are refused, since a directory does not say who they are of', {
      requests,
      error,
    })
  }
}

/** A name and a password. */
export interface Pair {
  readonly username: string
  readonly password: string
}

interface Question extends Pair {
  readonly config: JsonObject
}

function placeOf({ ldap_host, ldap_port, start_tls, verify_ldap_host, timeout }: JsonObject): Place {
  return {
    host: String(ldap_host),
    port: Number(ldap_port),
    startTls: start_tls === true,
    verify: verify_ldap_host === true,
    timeoutMs: boundedMs(timeout),
  }
}

/**
 * The same on all nodes, for an entry by whichever spelling that most directories take for the same: so whoever spells a
 * name in another way is counted as the same one still.
 */
function idOf({ host, port }: Place, dn: string): string {
  const spelled = dn
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/(?:\s|\\20)+/g, ' ')
    .replaceAll(/ ?([=,]) ?/g, '$1')
  return createHash('sha256')
    .update(JSON.stringify([host, port, spelled]))
    .digest('hex')
    .slice(0, 32)
}

function comeAgain(message: string): Refusal {
  return new Refusal(503, message, { 'Retry-After': '1' })
}
