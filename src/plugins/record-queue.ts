// Records on their way to a receiver on another machine. Whoever has one to send never waits for it, however slow the
// receiver is, and whatever becomes of it.
import { type BackoffOptions, backoffMs } from '../base/backoff.ts'
import type { Timer } from '../base/clock.ts'
import { describeError } from '../base/errors.ts'
import { Throttle } from '../base/throttle.ts'
import { LostRecords } from './lost-records.ts'
import type { PluginHost } from './plugin.ts'

/** Text kept while a receiver is slow or away: some ten thousand records. What comes on top is dropped and counted. */
const charsKeptByDefault = 16 * 1024 * 1024

/** For how long a receiver that failed is left alone: looking up a name over and over would hold up other look-ups. */
const pause: BackoffOptions = { firstMs: 100, mostMs: 5000 }

/** How often it is said that records wait. */
const sayEveryMs = 10_000

/** How long `close` waits for a receiver. */
const closeWithinMs = 5000

/** The way to one receiver. */
export interface Carrier {
  /** What the receiver is called in the node's log. */
  readonly receiver: string
  /** How many may be under way at once. */
  readonly lanes: number
  /** Of how many records each is made, at most. */
  readonly recordsAtOnce: number
  /** And of how much text, each record with one character to keep it apart; one that is longer goes alone. */
  readonly charsAtOnce: number
  /** Text kept while the receiver is slow or away. Default 16 Mi: less is lost with more, and more comes late. */
  readonly charsKept?: number | undefined
  /**
   * Resolves when they have gone, as far as can be told.
   * @throws {NotSent} when nothing has left this machine; anything else when some of it may have
   */
  carry(records: readonly string[]): Promise<void>
  /** Closes all connections; what is under way, or still comes, fails. */
  close(): void
}

/** The receiver was not reached. */
export class NotSent extends Error {
  constructor(cause: unknown) {
    super(describeError(cause), { cause })
    this.name = 'NotSent'
  }
}

export class RecordQueue {
  readonly #carrier: Carrier
  readonly #host: PluginHost
  readonly #lost: LostRecords
  readonly #charsKept: number
  readonly #waiting: Throttle
  #queued: string[] = []
  /** Of those that are queued, and of those under way. */
  #chars = 0
  #underWay = 0
  /** Whether the receiver took what it was last sent. If not, it is tried with one carriage before it gets all. */
  #isTaking = false
  #failure: unknown
  /** How often it was left alone since it last took something. */
  #pauses = 0
  #pause: Timer | undefined
  #usedAt = 0
  #closing: PromiseWithResolvers<void> | undefined

  constructor(carrier: Carrier, host: PluginHost) {
    const { receiver, charsKept = charsKeptByDefault } = carrier
    this.#charsKept = charsKept
    this.#carrier = carrier
    this.#host = host
    this.#lost = new LostRecords(host, 'log records were dropped: their receiver does not take them', {
      receiver,
    })
    this.#waiting = new Throttle(host.clock, sayEveryMs, () => {
      const fields = { receiver, waiting: this.#queued.length, error: this.#failure }
      if (this.#queued.length > 0) host.logger.warn('log records wait: their receiver failed', fields)
    })
  }

  /** For how long nothing has been queued nor was under way. */
  get idleMs(): number {
    return this.#chars > 0 ? 0 : this.#host.clock.monotonic() - this.#usedAt
  }

  /** Never throws. Those that are appended together are sent together, as far as the carrier can. */
  append(...records: readonly string[]): void {
    this.#usedAt = this.#host.clock.monotonic()
    for (const record of records) this.#enqueue(record)
    this.#dispatch()
  }

  /** Sends what is queued, as long as the receiver takes it and for a few seconds at most, and closes the carrier. */
  async close(): Promise<void> {
    this.#closing ??= Promise.withResolvers()
    this.#pause?.cancel()
    this.#pause = undefined
    const late = this.#host.clock.after(closeWithinMs, () => this.#carrier.close())
    this.#dispatch()
    await this.#closing.promise
    late.cancel()
    this.#carrier.close()
    this.#lost.say()
  }

  #enqueue(record: string): void {
    if (this.#closing || this.#chars + record.length > this.#charsKept) {
      this.#lost.add(1)
      return
    }
    this.#queued.push(record)
    this.#chars += record.length
  }

  #dispatch(): void {
    const lanes = this.#isTaking ? this.#carrier.lanes : 1
    while (!this.#pause && this.#underWay < lanes && this.#queued.length > 0) void this.#carry(this.#take())
    if (this.#underWay === 0 && this.#queued.length === 0) this.#closing?.resolve()
  }

  /** At least one, however long. */
  #take(): string[] {
    const { recordsAtOnce, charsAtOnce } = this.#carrier
    let [count, chars] = [1, this.#queued[0]?.length ?? 0]
    while (count < recordsAtOnce && count < this.#queued.length) {
      chars += 1 + (this.#queued[count] as string).length
      if (chars > charsAtOnce) break
      count++
    }
    return this.#queued.splice(0, count)
  }

  async #carry(records: string[]): Promise<void> {
    this.#underWay++
    try {
      await this.#carrier.carry(records)
      this.#isTaking = true
      this.#pauses = 0
      this.#forget(records)
    } catch (error) {
      this.#failed(records, error)
    }
    this.#underWay--
    this.#dispatch()
  }

  /** What may have arrived is not sent again: a receiver that counts would count it twice. */
  #failed(records: string[], error: unknown): void {
    const isAway = error instanceof NotSent
    // A single failure in between is not worth a pause.
    const isFailing = isAway || !this.#isTaking
    this.#isTaking = false
    this.#failure = error
    if (this.#closing) this.#lose([...records, ...this.#queued.splice(0)], error)
    else if (isAway) this.#queued.unshift(...records)
    else this.#lose(records, error)
    if (isFailing) this.#rest()
  }

  #rest(): void {
    this.#waiting.call()
    if (this.#pause || this.#closing) return
    const { clock, random } = this.#host
    this.#pause = clock.after(backoffMs(this.#pauses++, pause, random), () => {
      this.#pause = undefined
      this.#dispatch()
    })
  }

  #lose(records: readonly string[], error: unknown): void {
    this.#forget(records)
    this.#lost.add(records.length, error)
  }

  #forget(records: readonly string[]): void {
    for (const { length } of records) this.#chars -= length
  }
}
