// Whether a request may be answered from what this node knows now. One that may not waits for a moment, and is
// refused if that did not help: never answered from what is older.
import type { Clock } from '../base/clock.ts'
import type { Deadline } from '../base/deadline.ts'
import type { Position } from '../base/stamp.ts'
import type { Catalog, View } from '../catalog/catalog.ts'
import { type ClientAddress, trustRule } from './client-address.ts'
import { minPositionInvalid, NotFresh, PositionNotReached } from './errors.ts'
import { minPositionHeader } from './field-names.ts'
import type { Headers } from './headers.ts'
import type { Client, Incoming } from './request.ts'

/**
 * Requests of one worker that wait at once; beyond it they are refused at once. A client can let as many wait as it
 * likes, for what never comes, and every change looks at all of them.
 */
const waitingMax = 1000

export interface AdmissionParts {
  readonly catalog: Catalog
  readonly clientAddress: ClientAddress
  /** Clients that may say what they wait for; all of them when it is empty. */
  readonly trustedIps: readonly string[]
  /** How long a request waits. Longer holds more of them while the node is behind. */
  readonly minPositionWaitMs: number
  /** Once it has passed, this node may miss what it must not miss; undefined: it may miss anything for any time. */
  readonly freshness: Deadline | undefined
  readonly clock: Clock
}

export class Admission {
  readonly #parts: AdmissionParts
  readonly #isTrusted: (address: string) => boolean
  #waiting = 0

  /** @throws {TroopError} `trusted-ips` */
  constructor(parts: AdmissionParts) {
    this.#parts = parts
    this.#isTrusted = parts.trustedIps.length === 0 ? () => true : trustRule(parts.trustedIps)
  }

  /**
   * What must be applied here before the request is answered; 0 for what asks for nothing.
   * @throws {Refusal} of a value that is no position
   */
  leastPosition(incoming: Incoming, headers: Headers): Position {
    return headers.has(minPositionHeader) ? this.#positionIn(incoming, headers) : 0
  }

  #positionIn({ remoteAddress }: Incoming, headers: Headers): Position {
    const client = this.#parts.clientAddress(remoteAddress, headers)
    if (!this.#isTrusted(client)) return 0
    const value = headers.all(minPositionHeader).join(', ')
    if (!/^\d+$/.test(value)) throw minPositionInvalid(value)
    return Math.min(Number(value), Number.MAX_SAFE_INTEGER)
  }

  /**
   * Waits until `least` is applied; also no longer than it may, and than the client does: `check` says what became of
   * it. Undefined when there is nothing to wait for, or no room to wait in.
   * @throws {Unknown} as `Catalog.position`
   */
  wait(least: Position, client: Client): Promise<void> | undefined {
    if (least === 0 || least <= this.#parts.catalog.position()) return undefined
    return this.#waiting < waitingMax ? this.#wait(least, client.gone) : undefined
  }

  /**
   * Whether what a view that is opened now shows is as new as it must be. To be asked before, since whoever sets the
   * deadline has told of every change before.
   */
  isFresh(): boolean {
    return this.#parts.freshness?.hasPassed() !== true
  }

  /** @throws {NotFresh} */
  requireFresh(): void {
    if (!this.isFresh()) throw new NotFresh()
  }

  /** @throws {PositionNotReached} when what the view shows may be older than what the request asks for */
  check(least: Position, view: View): void {
    if (view.position < least) throw new PositionNotReached(least)
  }

  async #wait(least: Position, gone: AbortSignal): Promise<void> {
    const { catalog, clock, minPositionWaitMs } = this.#parts
    // Not by AbortSignal.any: what that returns is held by the runtime for as long as somebody listens to it.
    const over = new AbortController()
    const end = () => over.abort()
    const timer = clock.after(minPositionWaitMs, end)
    if (gone.aborted) end()
    gone.addEventListener('abort', end, { once: true })
    this.#waiting++
    try {
      await catalog.reach(least, over.signal)
    } finally {
      this.#waiting--
      timer.cancel()
      gone.removeEventListener('abort', end)
    }
  }
}
