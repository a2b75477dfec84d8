// Keeps one node in step with the log: everything in order, each event once, or a recorded jump.
import { type BackoffOptions, backoffMs } from '../base/backoff.ts'
import { type Clock, within } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Position, Stamp } from '../base/stamp.ts'
import { continues } from './digest.ts'
import { NotReached } from './errors.ts'
import { isReset, type LogEvent, transactionsOf } from './event.ts'
import type { DeliveryPath, EventLog, Page, Subscriber } from './event-log.ts'

export interface FollowerParts {
  readonly log: EventLog
  readonly subscriber: Subscriber
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** What a follower has done since it was made, for status and metrics. Only ever rising. */
export interface FollowerCounts {
  readonly events: number
  readonly transactions: number
  readonly pulls: number
  /** Loads by reason, the first one (`start`) included; each but that is a jump. */
  readonly loads: Readonly<Record<string, number>>
}

/** Before the first load: below every position of a log, and equal to no digest. */
const nothing: Stamp = Object.freeze({ position: -1, digest: '' })

/**
 * While the datastore is away. Every sign of life (a heartbeat that answers, a listener that is back) ends the
 * wait at once, so the longest one only bounds how often a silent datastore is asked.
 */
const retry: BackoffOptions = { firstMs: 50, mostMs: 5000 }

/**
 * Heads seen above `applied` that are remembered for comparison. They come from answers to reads, of which few
 * are ahead at a time; when there are more, the newest ones say as much as all.
 */
const aheadMax = 64

/** What is offered late was sent seconds ago at the most: at a thousand changes a second this is as long. */
const pastMax = 4096

export class Follower {
  readonly #parts: FollowerParts
  #applied: Stamp = nothing
  #state: 'new' | 'following' | 'stopped' = 'new'
  /** Why everything is to be loaded anew, if so. */
  #loadReason: string | undefined
  #loading = false
  #pullWanted = false
  /** What the next pull is for: the first of those that want it. */
  #pullPath: DeliveryPath = 'pull'
  /** Whether the one activity runs: loading or pulling, until there is nothing left to do. */
  #active = false
  /** Ends a pause that is under way. */
  #wake: AbortController | undefined
  /** Whether something happened since the step that is under way began: no pause after it. */
  #isWoken = false
  /** Digests that were read at positions above `applied`, to be compared there. */
  readonly #ahead = new Map<Position, string>()
  /** Digests at the ends of the transactions that were applied last. */
  readonly #past = new Map<Position, string>()
  readonly #waiters = new Set<{ readonly position: Position; readonly resolve: () => void }>()
  readonly #caughtUp = Promise.withResolvers<void>()
  readonly #counts = { events: 0, transactions: 0, pulls: 0, loads: {} as Record<string, number> }

  constructor(parts: FollowerParts) {
    this.#parts = parts
  }

  /**
   * Loads, and catches up with the log. Resolves once the node has been at the head, however long the datastore
   * takes to answer; also when it is stopped before.
   */
  start(): Promise<void> {
    // Told to stop before it began: there is nothing to wait for.
    if (this.#state === 'stopped') return Promise.resolve()
    this.#state = 'following'
    this.reset('start')
    return this.#caughtUp.promise
  }

  /** Up to where the log is applied; everything served is at least that new. Position -1 before the first load. */
  applied(): Stamp {
    return this.#applied
  }

  /** The digest at the end of a transaction that was applied not long ago; undefined for what is older. */
  digestAt(position: Position): string | undefined {
    return this.#past.get(position)
  }

  /**
   * Whether the transaction that ends at `stamp` is in what is applied. Of what this node has jumped over the log is asked:
   * it may have lost it, and gone on beyond its place, without anything that was applied here before being lost as well.
   * What can't be told, since the datastore is away or has it no more, is not held.
   */
  holds(stamp: Stamp): boolean | Promise<boolean> {
    const { position, digest } = stamp
    const [oldest = Number.POSITIVE_INFINITY] = this.#past.keys()
    // From there on, the ends of all transactions are remembered.
    if (position >= oldest) return this.#past.get(position) === digest
    return this.#isBehind(stamp)
  }

  counts(): FollowerCounts {
    return { ...this.#counts, loads: { ...this.#counts.loads } }
  }

  /**
   * The log may have gone on: pulls, unless `position` is applied already. Calls while a pull is under way fold
   * into one more pull.
   * @param path  by what this was learnt
   */
  nudge(position?: Position, path: DeliveryPath = 'pull'): void {
    this.#wakeUp()
    if (position !== undefined && position <= this.#applied.position) return
    if (!this.#pullWanted) this.#pullPath = path
    this.#pullWanted = true
    this.#act()
  }

  /**
   * Resolves once `position` is applied; pulls at once if it is not. The caller's limit bounds the wait, and the
   * caller's own bound on requests bounds how many wait.
   * @throws {NotReached} after `limitMs`
   */
  async reach(position: Position, limitMs: number, path: DeliveryPath = 'pull'): Promise<void> {
    if (!this.#mustLoad() && position <= this.#applied.position) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { position, resolve }
    this.#waiters.add(waiter)
    this.nudge(position, path)
    try {
      const { clock } = this.#parts
      await within(clock, limitMs, promise, () => new NotReached(position, this.#applied.position, limitMs))
    } finally {
      this.#waiters.delete(waiter)
    }
  }

  /**
   * Judges a head that the primary (never a replica) answered. One that is ahead is pulled; one that contradicts
   * what is applied is another history, and everything is loaded anew.
   *
   * @param sentAt    `applied()` when the read was sent. An answer that is only late, because events were applied
   *                  meanwhile, is not below it, and is ignored.
   * @param answered  the head in the answer
   * @param path      why it was read
   */
  observe(sentAt: Stamp, answered: Stamp, path: DeliveryPath = 'pull'): void {
    this.#wakeUp()
    // Loading already; or sent before all was loaded, in a history that was left meanwhile perhaps.
    if (this.#mustLoad() || this.#past.get(sentAt.position) !== sentAt.digest) return
    const known = [sentAt, this.#applied].find(({ position }) => position === answered.position)
    if (answered.position < sentAt.position || (known && known.digest !== answered.digest)) {
      this.reset('other-history')
    } else if (answered.position > this.#applied.position) {
      this.#expect(answered)
      this.nudge(answered.position, path)
    }
  }

  /**
   * Takes what another node has pulled. Verified like what the log itself answers; the position of a digest that does
   * not fit is of another history, and everything is loaded anew.
   *
   * @param events  whole transactions, in order
   * @returns       `applied`; `known` when all of it was applied before; `gap` when something before it is missing,
   *                or nothing can be taken now: then it is to be pulled
   */
  offer(events: readonly LogEvent[]): 'applied' | 'known' | 'gap' | 'other-history' {
    const last = events.at(-1)
    if (!last || this.#state !== 'following' || this.#mustLoad()) return 'gap'
    if (last.position <= this.#applied.position) return this.#judgeKnown(last)
    const news = events.filter(({ position }) => position > this.#applied.position)
    if (news[0]?.position !== this.#applied.position + 1) return 'gap'
    if (!continues(this.#applied, news)) {
      this.reset('other-history')
      return 'other-history'
    }
    this.#apply(news, false, 'push')
    if (!this.#mustLoad()) return 'applied'
    this.#act()
    return 'gap'
  }

  /** Forgets all and loads anew. */
  reset(reason: string): void {
    this.#wakeUp()
    this.#loadReason ??= reason
    this.#act()
  }

  /** Nothing is applied from now on; a read that is under way ends by itself and is ignored. */
  stop(): void {
    this.#state = 'stopped'
    this.#wakeUp()
    this.#caughtUp.resolve()
  }

  /** Whether what is applied came after `stamp`, which is asked of the log as of one moment: it may change histories. */
  async #isBehind(stamp: Stamp): Promise<boolean> {
    const { log, logger } = this.#parts
    const applied = this.#applied
    try {
      const isInLog = await log.hasBoth(stamp, applied)
      // Unless everything was loaded anew meanwhile.
      return isInLog && this.#past.get(applied.position) === applied.digest
    } catch (error) {
      logger.debug('the log could not be asked for what was jumped over', { error })
      return false
    }
  }

  #mustLoad(): boolean {
    return this.#loading || this.#loadReason !== undefined
  }

  /** Digests of the past are kept for a while; of what is older nothing can be said. */
  #judgeKnown({ position, digest }: LogEvent): 'known' | 'gap' | 'other-history' {
    const known = this.#past.get(position)
    if (known === undefined) return 'gap'
    if (known === digest) return 'known'
    this.reset('other-history')
    return 'other-history'
  }

  #act(): void {
    if (this.#active || this.#state !== 'following') return
    this.#active = true
    void this.#run()
  }

  /** The only place that loads and pulls, one step after the other. Never rejects. */
  async #run(): Promise<void> {
    for (let setbacks = 0; this.#state === 'following' && (this.#mustLoad() || this.#pullWanted); ) {
      this.#isWoken = false
      try {
        if (this.#loadReason !== undefined) await this.#load(this.#loadReason)
        else if (await this.#pull()) setbacks = 0
        // What was just loaded was contradicted again: no reason to hurry.
        else if (setbacks++ > 0) await this.#pause(setbacks)
      } catch (error) {
        this.#report(error, setbacks)
        await this.#pause(setbacks++)
      }
    }
    // In the same tick as the last look at what is wanted, or a nudge in between would be lost.
    this.#active = false
  }

  async #load(reason: string): Promise<void> {
    const before = this.#applied.position
    this.#loadReason = undefined
    this.#loading = true
    try {
      const stamp = await this.#parts.subscriber.load(reason)
      if (this.#state !== 'following') return
      this.#loading = false
      this.#pullWanted = true
      this.#ahead.clear()
      this.#past.clear()
      this.#counts.loads[reason] = (this.#counts.loads[reason] ?? 0) + 1
      this.#advance(stamp)
      this.#parts.logger.info('everything was loaded anew', { reason, from: before, to: stamp.position })
    } catch (error) {
      this.#loadReason ??= reason
      throw error
    } finally {
      this.#loading = false
    }
  }

  /** Applies what the log has; false when it has something else than what is applied. */
  async #pull(): Promise<boolean> {
    this.#pullWanted = false
    const path = this.#pullPath
    const from = this.#applied
    const seen = Math.max(from.position, ...this.#ahead.keys())
    const page = await this.#parts.log.read(from).catch((error) => {
      this.#pullWanted = true
      this.#pullPath = path
      throw error
    })
    this.#counts.pulls++
    if (this.#state !== 'following') return true
    // A reset that was asked for meanwhile makes the page worthless.
    if (this.#loadReason !== undefined) return false
    if (page.kind === 'jump') this.#loadReason = page.reason
    else if (page.kind === 'other-history' || !continues(from, page.events) || endsBefore(seen, page, from))
      this.#loadReason = 'other-history'
    else {
      // What was offered while the page was on its way is applied already, and may be what the log has lost since.
      const news = page.events.filter(({ position }) => position > this.#applied.position)
      if (this.#applied !== from && !continues(this.#applied, news)) this.#loadReason = 'other-history'
      else this.#apply(news, page.more, page.path ?? path)
    }
    return this.#loadReason === undefined
  }

  #apply(events: readonly LogEvent[], more: boolean, path: DeliveryPath): void {
    for (const transaction of transactionsOf(events)) {
      // What is loaded next is read from the primary after this, so it is at or past the reset; what follows in
      // this page is in it, or is pulled again from there.
      if (transaction.some(isReset)) this.#loadReason = 'reset'
      else this.#applyWhole(transaction, path)
      if (this.#loadReason !== undefined) return
    }
    if (more) this.#pullPath = path
    this.#pullWanted ||= more
    if (!this.#pullWanted) this.#caughtUp.resolve()
  }

  #applyWhole(transaction: readonly LogEvent[], path: DeliveryPath): void {
    const { position, digest } = transaction.at(-1) as LogEvent
    try {
      this.#parts.subscriber.apply(transaction, path)
    } catch (error) {
      // Half applied: what is cached can't be trusted.
      this.#parts.logger.error('applying a transaction failed', { error, position })
      this.#loadReason = 'apply-failed'
      return
    }
    this.#counts.events += transaction.length
    this.#counts.transactions++
    this.#advance({ position, digest })
  }

  #advance(stamp: Stamp): void {
    this.#applied = stamp
    this.#past.set(stamp.position, stamp.digest)
    if (this.#past.size > pastMax) this.#past.delete(this.#past.keys().next().value as Position)
    for (const [position, digest] of this.#ahead) {
      if (position > stamp.position) continue
      this.#ahead.delete(position)
      if (position === stamp.position && digest !== stamp.digest) this.#loadReason = 'other-history'
    }
    if (this.#loadReason !== undefined) return
    for (const waiter of this.#waiters) if (waiter.position <= stamp.position) waiter.resolve()
  }

  /** Heads are ends of transactions, so `applied` will stop at this very position. */
  #expect({ position, digest }: Stamp): void {
    const expected = this.#ahead.get(position)
    if (expected !== undefined && expected !== digest) this.reset('other-history')
    else this.#ahead.set(position, digest)
    if (this.#ahead.size > aheadMax) this.#ahead.delete(this.#ahead.keys().next().value as Position)
  }

  #report(error: unknown, setbacks: number): void {
    const { logger } = this.#parts
    const sentence = this.#loadReason === undefined ? 'could not pull the log' : 'could not load anew'
    const code = codeOf(error)
    if (code === 'load-overtaken') logger.debug(sentence, { error })
    else if (code !== 'datastore-away') logger.error(sentence, { error })
    else if (setbacks === 0) logger.warn(sentence, { error })
    else logger.debug(sentence, { error })
  }

  async #pause(setbacks: number): Promise<void> {
    const { clock, random } = this.#parts
    const pauseMs = backoffMs(setbacks, retry, random)
    if (this.#isWoken) return
    this.#wake = new AbortController()
    await clock.sleep(pauseMs, this.#wake.signal)
    this.#wake = undefined
  }

  #wakeUp(): void {
    this.#isWoken = true
    this.#wake?.abort()
  }
}

/**
 * Whether the log ends before a head that it had when it was asked: it has lost what was read there, and nobody may wait
 * for it. Another node's page says nothing of that.
 */
function endsBefore(
  seen: Position,
  { events, more, path }: Extract<Page, { kind: 'events' }>,
  from: Stamp,
): boolean {
  return !more && path === undefined && (events.at(-1)?.position ?? from.position) < seen
}
