// The Admin API's listener. A reload puts another app behind it; the port stays open.
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AdminOptions, createAdmin } from '../admin/admin.ts'
import type { Address } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'

/** What open requests get when the node stops: a write that is under way is a few milliseconds from its answer. */
const graceMs = 2000

export class AdminServer {
  readonly #server: Server
  readonly #clock: Clock
  #app: RequestListener

  constructor(options: AdminOptions) {
    this.#clock = options.clock
    this.#app = createAdmin(options).callback()
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
  reload(options: AdminOptions): void {
    this.#app = createAdmin(options).callback()
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeIdleConnections()
    const cut = this.#clock.after(graceMs, () => this.#server.closeAllConnections())
    await closed
    cut.cancel()
  }
}
