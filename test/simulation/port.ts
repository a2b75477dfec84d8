// The port between an agent and a worker in one process: a MessageChannel on simulated time.
import { EventEmitter } from 'node:events'
import type { LinkPort } from '../../src/catalog/link.ts'
import type { Process } from './process.ts'

/** Between two threads, in ms: mostly at once, sometimes after whatever the other one was at. */
const delayMs = 0.4
/** A thread that has much to do looks at its sockets several times before it looks at its port. */
const busy = { from: 0.9, mostMs: 20 } as const

export class SimulatedPort extends EventEmitter {
  readonly #process: Process
  readonly #chance: () => number
  readonly #arrived: unknown[] = []
  #peer: SimulatedPort | undefined
  #isClosed = false
  #busyUntil = 0

  constructor(process: Process, chance: () => number) {
    super()
    this.#process = process
    this.#chance = chance
  }

  static pair(process: Process, chance: () => number): [SimulatedPort, SimulatedPort] {
    const [one, other] = [new SimulatedPort(process, chance), new SimulatedPort(process, chance)]
    one.#peer = other
    other.#peer = one
    return [one, other]
  }

  get link(): LinkPort {
    return this as unknown as LinkPort
  }

  postMessage(message: unknown): void {
    const peer = this.#peer
    if (this.#isClosed || !peer) return
    peer.#arrived.push(copyOf(message, new Map()))
    const chance = this.#chance()
    const now = this.#process.clock.monotonic()
    if (chance > busy.from) peer.keepBusy((busy.mostMs * (chance - busy.from)) / (1 - busy.from))
    const waitMs = Math.max(delayMs * chance ** 3, peer.#busyUntil - now)
    this.#process.clock.after(waitMs, () => peer.#deliver())
  }

  /** As `receiveMessageOnPort`. */
  takeNext(): { readonly message: unknown } | undefined {
    return this.#arrived.length > 0 ? { message: this.#arrived.shift() } : undefined
  }

  /** For so long this end's thread does not come to look, unless by `takeNext`. */
  keepBusy(forMs: number): void {
    this.#busyUntil = Math.max(this.#busyUntil, this.#process.clock.monotonic() + forMs)
  }

  close(): void {
    for (const port of [this, this.#peer]) {
      if (!port || port.#isClosed) continue
      port.#isClosed = true
      this.#process.handLater(() => port.emit('close'))
    }
  }

  #deliver(): void {
    const next = this.takeNext()
    if (next && !this.#isClosed) this.emit('message', next.message)
  }
}

type Copies = Map<object, object>

/** As `structuredClone`, at a fifth of what that takes for what is plain: nearly everything that is posted. */
function copyOf(value: unknown, copies: Copies): unknown {
  if (typeof value !== 'object' || value === null) return value
  const known = copies.get(value)
  if (known) return known
  const copy = isPlain(value) ? copyOfParts(value, copies) : structuredClone(value)
  copies.set(value, copy)
  return copy
}

function copyOfParts(value: object, copies: Copies): object {
  if (Array.isArray(value)) return value.map((part) => copyOf(part, copies))
  const copy = { ...value } as Record<string, unknown>
  for (const name in copy) {
    const part = copy[name]
    if (typeof part === 'object' && part !== null) copy[name] = copyOf(part, copies)
  }
  return copy
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype
}
