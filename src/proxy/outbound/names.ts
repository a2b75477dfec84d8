// The addresses of upstreams: what the hosts file says, else what DNS says, kept for as long as DNS allows. Node's own
// lookup asks the system for every connection, on a few threads that a slow name server holds up for everybody.
import type { LookupAddress } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import type { LookupFunction } from 'node:net'
import QuickLRU from 'quick-lru'
import type { Clock } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import { isOutOfFiles } from '../../base/open-files.ts'
import { completions, type Hosts, parseHosts, parseSearch, type Search } from './name-files.ts'

export interface NamesOptions {
  readonly clock: Clock
  /** Name servers, as `address` or `address:port`. Default: the system's. */
  readonly servers?: readonly string[]
  /** Default `/etc/hosts` and `/etc/resolv.conf`; one that can't be read is as if empty. */
  readonly hostsFile?: string
  readonly resolvFile?: string
  /** How long a name server may take; it is asked twice. Default 2,000. */
  readonly timeoutMs?: number
}

/** Names are those of APIs' upstreams: each takes some hundred bytes. */
const namesMax = 10_000
/** How long a name that does not exist is not asked for again, and a resolver that is away. */
const againMs = 5000
/** How late a change of the system's files is noticed. */
const filesMs = 5000

const loopback: readonly LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]

interface Known {
  /** Empty: there is no such name. */
  readonly addresses: readonly LookupAddress[]
  /** On the monotonic clock. */
  readonly until: number
  /** The resolver was away when it was asked again. */
  readonly isStale: boolean
  /** Connections so far that asked. */
  uses: number
}

interface Files {
  readonly hosts: Hosts
  readonly search: Search
  readonly resolv: string
  readonly readAt: number
}

export class Names {
  readonly #options: NamesOptions
  readonly #known = new QuickLRU<string, Known>({ maxSize: namesMax })
  /** Questions under way, by name: whoever asks the same meanwhile waits for the same answer. */
  readonly #flights = new Map<string, Promise<Known>>()
  #files: Files | undefined
  #resolver: Resolver

  constructor(options: NamesOptions) {
    this.#options = options
    this.#resolver = this.#newResolver()
  }

  /** For `net.connect`, which tries the addresses in turn. */
  readonly lookup: LookupFunction = (host, { all }, done) => {
    const told = (addresses: readonly LookupAddress[]) => {
      const [first] = addresses as [LookupAddress]
      if (all) done(null, [...addresses])
      else done(null, first.address, first.family)
    }
    this.resolve(host).then(told, (error) => done(error, ''))
  }

  /**
   * At least one address, in the order in which to try them; of those that DNS has, another one first each time.
   * @throws {Error} `ENOTFOUND` when there is none, or the resolver's own when it can't be told
   */
  async resolve(host: string): Promise<readonly LookupAddress[]> {
    const name = host.toLowerCase()
    // Never a question for others (RFC 6761, 6.3).
    if (name === 'localhost' || name.endsWith('.localhost')) return loopback
    const { hosts, search } = await this.#readFiles()
    const own = hosts.get(name)
    if (own) return own
    const known = await this.#look(name, search)
    const { addresses } = known
    if (addresses.length === 0) throw notFound(host)
    const first = known.uses++ % addresses.length
    return [...addresses.slice(first), ...addresses.slice(0, first)]
  }

  #look(name: string, search: Search): Known | Promise<Known> {
    const known = this.#known.get(name)
    if (known && this.#options.clock.monotonic() < known.until) return known
    const flight = this.#flights.get(name) ?? this.#fly(name, search)
    // What is known goes on being used while the resolver is away, and nobody waits for it to be back.
    return known?.isStale ? known : flight
  }

  #fly(name: string, search: Search): Promise<Known> {
    const flight = this.#ask(name, search).finally(() => this.#flights.delete(name))
    flight.catch(() => undefined)
    this.#flights.set(name, flight)
    return flight
  }

  async #ask(name: string, search: Search): Promise<Known> {
    const known = await this.#answer(completions(name, search)).catch((error) => {
      const before = this.#known.get(name)
      if (!before || before.addresses.length === 0) throw error
      return { ...before, until: this.#options.clock.monotonic() + againMs, isStale: true }
    })
    this.#known.set(name, known)
    return known
  }

  async #answer(names: readonly string[]): Promise<Known> {
    const now = () => this.#options.clock.monotonic()
    for (const name of names) {
      const records = await this.#records(name)
      if (records.length === 0) continue
      const ttlSeconds = Math.min(...records.map(({ ttl }) => ttl))
      const addresses = records.map(({ address, family }) => ({ address, family }))
      return { addresses, until: now() + ttlSeconds * 1000, isStale: false, uses: 0 }
    }
    return { addresses: [], until: now() + againMs, isStale: false, uses: 0 }
  }

  /** IPv6 is asked for only if there is no IPv4: many servers answer one of the two late, or not at all. */
  async #records(name: string): Promise<{ address: string; ttl: number; family: 4 | 6 }[]> {
    for (const family of [4, 6] as const) {
      try {
        const records = await this.#resolver[`resolve${family}`](name, { ttl: true })
        return records.map((record) => ({ ...record, family }))
      } catch (error) {
        // There is the name, with other records.
        if (codeOf(error) === 'ENODATA') continue
        // There is not, or it is none.
        if (codeOf(error) === 'ENOTFOUND' || codeOf(error) === 'EBADNAME') return []
        throw error
      }
    }
    return []
  }

  async #readFiles(): Promise<Files> {
    const { clock, hostsFile = '/etc/hosts', resolvFile = '/etc/resolv.conf' } = this.#options
    const before = this.#files
    if (before && clock.monotonic() - before.readAt < filesMs) return before
    const texts = await Promise.all([textOf(hostsFile), textOf(resolvFile)]).catch(() => undefined)
    if (!texts && before) return before
    const [hosts, resolv] = texts ?? ['', '']
    // The resolver reads it when it is made.
    if (before && before.resolv !== resolv) this.#resolver = this.#newResolver()
    this.#files = {
      hosts: parseHosts(hosts),
      search: parseSearch(resolv),
      resolv,
      readAt: clock.monotonic(),
    }
    return this.#files
  }

  #newResolver(): Resolver {
    const { servers, timeoutMs = 2000 } = this.#options
    const resolver = new Resolver({ timeout: timeoutMs, tries: 2 })
    if (servers) resolver.setServers(servers)
    return resolver
  }
}

/** Empty if it can't be read. Rejects when nothing can be, for want of descriptors. */
function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error) => {
    if (isOutOfFiles(error)) throw error
    return ''
  })
}

function notFound(host: string): Error {
  return Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' })
}
