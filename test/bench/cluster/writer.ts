// Adds APIs, one by one and each in one of three ways.
import type { Database } from '../../../src/database/database.ts'
import { api } from '../../../src/entities/api.ts'
import { PostgresStore } from '../../../src/store/postgres-store.ts'
import { openDatabase } from '../../support/log.ts'
import type { Answered, Asked } from '../../support/raw-http.ts'
import type { Fleet } from './fleet.ts'

/**
 * `all` and `none`: to the first node's Admin API, with that `X-Troop-Wait`. `commit`: the same row by the same
 * statements, committed from here, so that no node knows of it by having done it.
 */
export type Way = 'commit' | 'none' | 'all'

export class Writer {
  /** Answers to `all` that did not say that all nodes have it. */
  incomplete = 0
  readonly #fleet: Fleet
  readonly #database: Database
  readonly #store: PostgresStore
  readonly #admin: (target: string, asked: Asked) => Promise<Answered>

  constructor(fleet: Fleet) {
    this.#fleet = fleet
    this.#database = openDatabase(fleet.database)
    this.#store = new PostgresStore(this.#database)
    this.#admin = fleet.client(fleet.nodes[0]?.admin as string)
  }

  /** Resolves with the answer. */
  async write(way: Way, name: string): Promise<void> {
    const row = { name, request_path: `/${name}`, upstream_url: this.#fleet.upstreamUrl }
    if (way === 'commit') {
      await this.#store.insert(api, row, null)
      return
    }
    const { status, headers } = await this.#admin('/apis', {
      method: 'POST',
      headers: ['Content-Type', 'application/json', 'X-Troop-Wait', way],
      body: JSON.stringify(row),
    })
    if (status !== 201) throw new Error(`expected the API ${name} to be made, got ${status}`)
    const [applied, of] = String(headers['x-troop-applied']).split('/')
    if (way === 'all' && !(applied === of && Number(of) === this.#fleet.nodes.length)) this.incomplete++
  }

  async stop(): Promise<void> {
    await this.#database.stop()
  }
}
