// The UDP receivers of a plugin in one worker.
import type { JsonObject } from '../base/json.ts'
import type { PluginHost } from './plugin.ts'
import { boundedMs, Receivers } from './receivers.ts'
import { RecordQueue } from './record-queue.ts'
import { type Packing, UdpCarrier } from './udp-carrier.ts'

export class UdpReceivers {
  readonly #receivers = new Receivers()
  readonly #host: PluginHost
  readonly #packing: Packing | undefined

  /** @param packing  default: each record is a datagram */
  constructor(host: PluginHost, packing?: Packing) {
    this.#host = host
    this.#packing = packing
  }

  /** That of a configuration with `host`, `port` and `timeout`. */
  at(config: JsonObject): RecordQueue {
    const [host, port] = [String(config.host), Number(config.port)]
    const timeoutMs = boundedMs(config.timeout)
    return this.#receivers.at(`${port} ${timeoutMs} ${host}`, () => {
      const { clock } = this.#host
      return new RecordQueue(new UdpCarrier({ host, port, timeoutMs, clock }, this.#packing), this.#host)
    })
  }

  stop(): Promise<void> {
    return this.#receivers.stop()
  }
}
