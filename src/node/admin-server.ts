// The Admin API's listener. A reload puts another app behind it; the port stays open.
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import { type AdminOptions, createAdmin } from '../admin/admin.ts'
import { EventStreams } from '../admin/event-streams.ts'
import type { Address } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'

/** What open requests get when the node stops: a write that is under way is a few milliseconds from its answer. */
const graceMs = 2000

/** What an app is made from, besides what the server keeps over reloads. */
export type AdminSetup = Omit<AdminOptions, 'streams'>

export class AdminServer {
  readonly #server: Server
  readonly #clock: Clock
  readonly #streams: EventStreams
  #setup: AdminSetup
  #app: RequestListener

  constructor(setup: AdminSetup) {
    this.#clock = setup.clock
    this.#streams = new EventStreams(setup)
    this.#setup = setup
    this.#app = this.#appOf(setup)
    this.#server = createServer((request, response) => this.#app(request, response))
  }

  /** Resolves with the address as bound. */
  start({ host, port }: Address): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port }, () => {
        const bound = this.#server.address() as AddressInfo
        resolve({ host: bound.address, port: bound.port })
      })
    })
  }

  /** From the next request on. */
  reload(setup: AdminSetup): void {
    this.#app = this.#appOf(setup)
    // Whoever was let in may not be any more: streams begin anew, and their clients are asked.
    if (!isDeepStrictEqual(whoMayAsk(setup), whoMayAsk(this.#setup))) this.#streams.endAll()
    this.#setup = setup
  }

  async stop(): Promise<void> {
    this.#streams.stop()
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    const cut = this.#clock.after(graceMs, () => this.#server.closeAllConnections())
    await closed
    cut.cancel()
  }

  #appOf(setup: AdminSetup): RequestListener {
    return createAdmin({ ...setup, streams: this.#streams }).callback()
  }
}

function whoMayAsk({ tokens, origins }: AdminSetup): unknown {
  return { tokens, origins }
}
