// Nodes talk over TCP, encrypted and authenticated with the cluster's key.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Server as TlsServer } from 'node:tls'
import { type Address, formatAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { NothingListens, PeerUnreachable, PeerUntrusted } from '../errors.ts'
import { addressOf, Gate } from './gate.ts'
import type { ClusterKeys } from './keys.ts'
import { Mesh, type MeshOptions, type Wire } from './mesh.ts'
import { connectPsk, createPskServer, isPsk, isTrustFailure } from './tls.ts'

export interface TlsWireOptions {
  /** Port 0 lets the system choose. */
  readonly listen: Address
  readonly keys: ClusterKeys
  readonly clock: Clock
  readonly logger: Logger
}

export type TlsTransportOptions = Omit<MeshOptions, 'wire'> & TlsWireOptions

/** A dead peer that nobody talks to is found by the system after this and some retries; probes find it earlier. */
const keepAliveMs = 15_000

export class TlsTransport extends Mesh {
  constructor(options: TlsTransportOptions) {
    super({ ...options, wire: new TlsWire(options) })
  }
}

class TlsWire implements Wire {
  readonly #options: TlsWireOptions
  readonly #gate: Gate
  readonly #handshakes: TlsServer
  readonly #server: Server
  #handlers: Parameters<Wire['listen']>[0] | undefined

  constructor(options: TlsWireOptions) {
    this.#options = options
    this.#gate = new Gate(options.clock, (reason, from) => this.#handlers?.refused(reason, from))
    this.#handshakes = createPskServer(options.keys, {
      trusted: (socket) => this.#handlers?.accept(socket, addressOf(socket)),
      refused: (socket, reason) => {
        const from = addressOf(socket)
        // Who was shown out is counted already.
        if (this.#gate.pass(from)) this.#handlers?.refused(reason, from)
      },
    })
    this.#server = createServer((socket) => this.#meet(socket))
  }

  get strangers(): number {
    return this.#gate.size
  }

  async listen(handlers: Parameters<Wire['listen']>[0]): Promise<Address> {
    this.#handlers = handlers
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ ...this.#options.listen, exclusive: true }, () => {
        this.#server.off('error', reject)
        // One connection that can't be taken, for want of file descriptors, is no reason to end.
        this.#server.on('error', (error) => this.#options.logger.warn('connection not accepted', { error }))
        resolve()
      })
    })
    const { address: host, port } = this.#server.address() as AddressInfo
    return { host, port }
  }

  connect(address: Address, { opened, failed }: Parameters<Wire['connect']>[1]): { abort(): void } {
    const where = formatAddress(address)
    const socket = connectPsk(address, this.#options.keys[0])
    socket.once('error', (error) => failed(dialError(where, error)))
    socket.once('secureConnect', () => {
      if (isPsk(socket)) opened(socket)
      else failed(new PeerUntrusted(where))
    })
    return { abort: () => void socket.destroy() }
  }

  pass(from: string): boolean {
    return this.#gate.pass(from)
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#gate.close()
    await closed
  }

  /** A connection, of anyone. */
  #meet(socket: Socket): void {
    // What breaks before the handshake is done is nobody's loss; the handshake hears of it too.
    socket.on('error', () => {})
    // It has gone again already, and where it came from can't be told any more.
    if (socket.remoteAddress === undefined) return void socket.destroy()
    socket.setNoDelay(true).setKeepAlive(true, keepAliveMs)
    this.#gate.enter(socket)
    this.#handshakes.emit('connection', socket)
  }
}

function dialError(where: string, error: Error): Error {
  if (codeOf(error) === 'ECONNREFUSED') return new NothingListens(where)
  return isTrustFailure(error) ? new PeerUntrusted(where, error) : new PeerUnreachable(where, error)
}
