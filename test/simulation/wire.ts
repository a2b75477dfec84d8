// What carries a node's conversations in a simulated network. Whoever reaches it has the key.
import type { Duplex } from 'node:stream'
import { type Address, formatAddress } from '../../src/base/address.ts'
import { codeOf } from '../../src/base/errors.ts'
import { NothingListens, PeerUnreachable } from '../../src/cluster/errors.ts'
import type { Wire } from '../../src/cluster/transport/mesh.ts'
import type { Network } from './network.ts'
import type { Process } from './process.ts'

export interface SimulatedWireOptions {
  readonly network: Network
  readonly process: Process
  readonly listen: Address
}

export class SimulatedWire implements Wire {
  readonly #options: SimulatedWireOptions
  readonly #waiting = new Map<string, Duplex>()
  #close: (() => void) | undefined

  constructor(options: SimulatedWireOptions) {
    this.#options = options
  }

  get strangers(): number {
    return this.#waiting.size
  }

  async listen({ accept }: Parameters<Wire['listen']>[0]): Promise<Address> {
    const { network, process, listen } = this.#options
    this.#close = network.listen(listen, {
      process,
      accept: (stream, from) => {
        this.#waiting.set(from, stream)
        accept(stream, from)
      },
    })
    return listen
  }

  connect(address: Address, { opened, failed }: Parameters<Wire['connect']>[1]): { abort(): void } {
    const { network, process, listen } = this.#options
    const where = formatAddress(address)
    return network.connect(process, listen.host, address, {
      opened,
      failed: (error) =>
        failed(
          codeOf(error) === 'ECONNREFUSED' ? new NothingListens(where) : new PeerUnreachable(where, error),
        ),
    })
  }

  pass(from: string): boolean {
    return this.#waiting.delete(from)
  }

  async stop(): Promise<void> {
    this.#close?.()
    for (const stream of this.#waiting.values()) stream.destroy()
    this.#waiting.clear()
  }
}
