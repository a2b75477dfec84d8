// Which certificate a TLS client is shown that names a server: the one that a plugin of the API of that name has, as of
// one position of the log, else the listener's own.
import type { SecureContext } from 'node:tls'
import type { Row } from '../base/json.ts'
import type { Catalog, View } from '../catalog/catalog.ts'
import { andThen, type KeyPair } from '../plugins/plugin.ts'
import { contextOf } from './inbound/tls-server.ts'
import { chooseCertificate, type PluginChains } from './phases.ts'
import type { Router } from './router.ts'

/** As with requests: each time needs a change of what was asked for, within a handshake. */
const attemptsMax = 5

export interface CertificatesParts {
  readonly catalog: Catalog
  readonly router: Router
  readonly chains: PluginChains
}

type Context = SecureContext | undefined

export class Certificates {
  readonly #parts: CertificatesParts
  readonly #contexts = new WeakMap<KeyPair, SecureContext>()

  constructor(parts: CertificatesParts) {
    this.#parts = parts
  }

  /**
   * Undefined for the listener's own. Synchronous when all that is asked for is in memory.
   * @throws {Unknown} when it can't be told whether there is another, and whatever a plugin throws; or rejects so
   */
  contextFor(serverName: string): Context | Promise<Context> {
    return this.#attempt(serverName, 1)
  }

  #attempt(serverName: string, attempt: number): Context | Promise<Context> {
    const { catalog, router, chains } = this.#parts
    // Opened before the match: it brings the router up to the newest change.
    const view = catalog.view()
    const api = router.named(serverName)
    if (!api) return undefined
    const pair = andThen(chains.chainFor(view, api), (chain) => chooseCertificate(chain, serverName, view))
    return andThen(pair, (pair) => {
      if (this.#holds(serverName, api, view)) return pair && this.#contextOf(pair)
      if (attempt < attemptsMax) return this.#attempt(serverName, attempt + 1)
      throw new Error(`the configuration changes faster than a certificate for ${serverName} could be chosen`)
    })
  }

  #holds(serverName: string, api: Row, view: View): boolean {
    return view.holds() && this.#parts.router.named(serverName) === api
  }

  #contextOf(pair: KeyPair): SecureContext {
    const known = this.#contexts.get(pair)
    if (known) return known
    const context = contextOf(pair)
    this.#contexts.set(pair, context)
    return context
  }
}
