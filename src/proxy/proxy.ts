// Requests through: each is resolved (resolver.ts), then sent upstream or answered, then logged. The two ends,
// inbound/ and outbound/, are interfaces; routing and plugins know neither.
import type { Clock } from '../base/clock.ts'
import type { Deadline } from '../base/deadline.ts'
import type { Logger } from '../base/logger.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Plugin, PluginHost } from '../plugins/plugin.ts'
import { Admission } from './admission.ts'
import { ApiCounters } from './api-counters.ts'
import { Certificates } from './certificates.ts'
import { clientAddressRule } from './client-address.ts'
import { Counters } from './counters.ts'
import type { Handler } from './inbound/inbound.ts'
import type { ContextFor } from './inbound/tls-server.ts'
import type { Outbound } from './outbound/outbound.ts'
import { Passage, type PassageParts } from './passage.ts'
import { PluginChains } from './phases.ts'
import { Repeats } from './repeats.ts'
import { Resolver } from './resolver.ts'
import type { Router } from './router.ts'
import { UpstreamTroubles } from './upstream-troubles.ts'
import type { Whereabouts } from './whereabouts.ts'

export interface ProxyOptions {
  readonly catalog: Catalog
  /** Kept in step with the catalog by whoever made both. */
  readonly router: Router
  /** Those that this node has, in the order that decides between equal priorities. */
  readonly plugins: readonly Plugin[]
  readonly host: PluginHost
  readonly outbound: Outbound
  /** Peers whose `X-Forwarded-For` is believed: addresses and ranges. */
  readonly trustedIps: readonly string[]
  /** How long a request with `X-Troop-Min-Position` waits for the node to get there. */
  readonly minPositionWaitMs: number
  /** How much of a body, of a request or of a response, is held for plugins that have to see it whole. Default 8 MiB. */
  readonly heldBytesMax?: number | undefined
  /** Once it has passed, nothing is answered from what is known here; undefined: there is no such bound. */
  readonly freshness?: Deadline | undefined
  /** Of Troop, for `Server` and `Via`. */
  readonly version: string
  /** Where `routed` is counted; see counters.ts. */
  readonly counters: Float64Array
  /** Where the requests of each API are counted. Default: counted for nobody. */
  readonly apis?: ApiCounters | undefined
  /** Where it is noted which plugin has which request, see whereabouts.ts. Default: nowhere that anybody looks. */
  readonly whereabouts?: Whereabouts | undefined
  readonly logger: Logger
  readonly clock: Clock
}

export interface Gateway {
  /** Takes one request from an inbound. */
  readonly handle: Handler
  /** Chooses for a TLS client that names a server. */
  readonly contextFor: ContextFor
  /** Waits until the requests that it took are through, then closes its upstream connections and its plugins. */
  stop(): Promise<void>
}

/**
 * Makes the data plane of one worker out of its parts.
 * @throws {TroopError} `trusted-ips` for a value that is no address or range, and what a plugin's `open` throws
 */
export function createProxy(options: ProxyOptions): Gateway {
  const { catalog, router, clock, outbound, trustedIps, minPositionWaitMs } = options
  const logger = options.logger.scope('proxy')
  const repeats = new Repeats(clock)
  const clientAddress = clientAddressRule(trustedIps)
  const { freshness, heldBytesMax } = options
  const admission = new Admission({
    ...{ catalog, clientAddress, trustedIps, minPositionWaitMs, freshness, clock },
  })
  const chains = new PluginChains(options.plugins, options.host, options.whereabouts)
  const certificates = new Certificates({ catalog, router, chains })
  const passages = new OpenPassages()
  const parts: PassageParts = {
    resolver: new Resolver({
      ...{ catalog, router, chains, admission, clientAddress, heldBytesMax, logger, repeats },
    }),
    heldBytesMax,
    product: `troop/${options.version}`,
    counters: new Counters(options.counters),
    apis: options.apis ?? new ApiCounters(),
    outbound,
    clock,
    logger,
    repeats,
    troubles: new UpstreamTroubles(clock, logger),
    finished: () => passages.finished(),
  }
  return {
    handle(incoming, reply) {
      passages.begun()
      new Passage(parts, incoming, reply).start()
    },
    contextFor: (serverName) => certificates.contextFor(serverName),
    async stop() {
      await passages.none()
      outbound.stop()
      await chains.stop()
    },
  }
}

/** How many requests are on their way, for whoever waits until there are none. */
class OpenPassages {
  #open = 0
  readonly #waiting: (() => void)[] = []

  begun(): void {
    this.#open++
  }

  finished(): void {
    this.#open--
    if (this.#open === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }

  none(): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}
