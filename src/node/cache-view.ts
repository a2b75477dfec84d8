// The catalog, as /cache shows it.
import type { NodeCache } from '../admin/admin.ts'
import type { Row } from '../base/json.ts'
import type { AgentCatalog } from '../catalog/agent-catalog.ts'
import { api } from '../entities/api.ts'

/** The table of all APIs, in 0.8 an entry like others, filled by the first request that needs it. */
const allApisKey = 'ALL_APIS_BY_DIC'

/**
 * Troop's router is never absent. For clients that wait for 0.8's table to go and to come back, it shows from the
 * first request that was routed after the APIs changed, or were purged, or the key was dropped.
 */
export class CacheView implements NodeCache {
  readonly #catalog: AgentCatalog
  readonly #routed: () => number
  #routedBefore = 0

  /** @param routed  requests that this node has routed so far */
  constructor(catalog: AgentCatalog, routed: () => number) {
    this.#catalog = catalog
    this.#routed = routed
    catalog.attach({
      seed: () => this.#hideApis(),
      change: ({ patches }) => {
        if (patches.length > 0) this.#hideApis()
      },
      purge: () => this.#hideApis(),
      forget() {},
    })
  }

  read(key: string): ReturnType<AgentCatalog['read']> {
    return this.#catalog.read(key)
  }

  apis(): readonly Row[] | undefined {
    return this.#routed() > this.#routedBefore ? this.#catalog.rows(api) : undefined
  }

  drop(key: string): void {
    if (key === allApisKey) this.#hideApis()
    else this.#catalog.dropKey(key)
  }

  purge(): void {
    this.#catalog.purgeAll()
  }

  #hideApis(): void {
    this.#routedBefore = this.#routed()
  }
}
