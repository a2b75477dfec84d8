// The Admin API's listeners, plain and for HTTPS. A reload puts another app behind them; the ports stay open.
import type { RequestListener, Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import { type AdminOptions, createAdmin } from '../admin/admin.ts'
import { EventStreams } from '../admin/event-streams.ts'
import type { Address } from '../base/address.ts'
import type { Clock } from '../base/clock.ts'
import { http } from '../base/http.ts'
import type { KeyPair } from '../plugins/plugin.ts'
import { createTlsServer, present } from '../proxy/inbound/tls-server.ts'
import { AdminClients, type AdminLimits, adminLimits } from './admin-clients.ts'

/** What open requests get when the node stops: a write that is under way is a few milliseconds from its answer. */
const graceMs = 2000

/** How often node:http looks for requests that take too long to come. */
const checkEveryMs = 5000

/** What an app is made from, besides what the server keeps over reloads. */
export type AdminSetup = Omit<AdminOptions, 'streams'>

export class AdminServer {
  readonly #server: Server
  readonly #tlsServer: TlsServer | undefined
  readonly #clock: Clock
  readonly #streams: EventStreams
  readonly #clients: AdminClients
  #setup: AdminSetup
  #app: RequestListener

  /** @param pair  what is shown to clients of HTTPS; undefined when it is not taken */
  constructor(setup: AdminSetup, pair?: KeyPair, limits: Partial<AdminLimits> = {}) {
    this.#clock = setup.clock
    this.#streams = new EventStreams(setup)
    this.#setup = setup
    this.#app = this.#appOf(setup)
    const answer: RequestListener = (request, response) => this.#app(request, response)
    const bounds = { ...adminLimits, ...limits }
    const common = { connectionsCheckingInterval: Math.min(checkEveryMs, bounds.headMs / 4) }
    this.#clients = new AdminClients(setup.clock, setup.logger, bounds)
    this.#server = http.createServer(common)
    this.#clients.watch(this.#server, 'connection')
    this.#server.on('request', answer)
    if (!pair) return
    this.#tlsServer = createTlsServer(common, { pair })
    this.#clients.watch(this.#tlsServer, 'secureConnection')
    this.#tlsServer.on('request', answer)
    const logger = setup.logger.scope('tls')
    // Whoever scans the port could fill the log with it.
    this.#tlsServer.on('tlsClientError', (error, socket) => {
      socket.destroy()
      logger.debug('a handshake failed', { error, client: socket.remoteAddress })
    })
  }

  /** Takes HTTP at an address; resolves with the one that is bound. */
  start(address: Address): Promise<Address> {
    return listen(this.#server, address)
  }

  /** The same for HTTPS; for one that was given a pair. */
  startTls(address: Address): Promise<Address> {
    return listen(this.#tlsServer as TlsServer, address)
  }

  /** From the next request on; another pair, from the next handshake on. */
  reload(setup: AdminSetup, pair?: KeyPair): void {
    this.#app = this.#appOf(setup)
    if (this.#tlsServer && pair) present(this.#tlsServer, pair)
    // Whoever was let in may not be any more: streams begin anew, and their clients are asked.
    if (!isDeepStrictEqual(whoMayAsk(setup), whoMayAsk(this.#setup))) this.#streams.endAll()
    this.#setup = setup
  }

  async stop(): Promise<void> {
    this.#streams.stop()
    const servers = [this.#server, this.#tlsServer].filter((server) => server !== undefined)
    const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())))
    for (const server of servers) server.closeIdleConnections()
    const cut = this.#clock.after(graceMs, () => {
      for (const server of servers) server.closeAllConnections()
    })
    await Promise.all(closed)
    cut.cancel()
    this.#clients.stop()
  }

  #appOf(setup: AdminSetup): RequestListener {
    return createAdmin({ ...setup, streams: this.#streams }).callback()
  }
}

function listen(server: Server, { host, port }: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      const bound = server.address() as AddressInfo
      resolve({ host: bound.address, port: bound.port })
    })
  })
}

function whoMayAsk({ tokens, origins }: AdminSetup): unknown {
  return { tokens, origins }
}
