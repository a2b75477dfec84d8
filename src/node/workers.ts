// The threads that serve traffic, as many as configured, and one in the place of each that dies.
import type { HeapInfo } from 'node:v8'
import { backoffMs } from '../base/backoff.ts'
import { within } from '../base/clock.ts'
import { Counts, sumOf } from '../base/counts.ts'
import { Histogram } from '../base/histogram.ts'
import { loopDelayBoundsMs } from '../base/loop-delay.ts'
import { type CacheCounters, cacheCounterNames } from '../cache/cache.ts'
import type { AgentCatalog } from '../catalog/agent-catalog.ts'
import { type Counter, Counters, counterCount } from '../proxy/counters.ts'
import type { CountBatch } from './counters/batch.ts'
import { localCountersBuffer, releaseLocks } from './counters/local-counters.ts'
import type { Surroundings } from './datastore.ts'
import { WorkerFailed } from './errors.ts'
import type { ProxyAddresses, ProxySetup, WorkerCounts, WorkerSetup } from './thread.ts'
import { WorkerThread } from './worker-thread.ts'
import type { UpdateRow } from './writing-link.ts'

export interface WorkersOptions {
  readonly count: number
  readonly listen: ProxyAddresses
  readonly catalog: AgentCatalog
  /** Counts requests for all nodes. */
  readonly countBatch: CountBatch
  /** Writes what plugins ask for. */
  readonly updateRow: UpdateRow
  readonly setup: Omit<WorkerSetup, 'catalog' | 'counts' | 'counting' | 'writing'>
  readonly surroundings: Surroundings
}

/** One thread's place: what is counted there outlives the thread. */
interface Seat {
  /** From 1. */
  readonly number: number
  readonly counts: WorkerCounts
  /** Of `counts.proxy`. */
  readonly counters: Counters
  thread: WorkerThread | undefined
  /** Threads that died soon after they were made, one after the other. */
  failures: number
}

/** A worker that dies at once, again and again, is not to take the machine with it. */
const replacement = { firstMs: 100, mostMs: 5000 }
/** One that lived this long died of something new. */
const livedLongMs = 10_000
/** Beyond the grace that open requests get; a worker that takes longer is stuck. */
const closeLimitMs = 3000

export class Workers {
  readonly #options: WorkersOptions
  readonly #seats: readonly Seat[]
  /** What they count together of callers' requests; outlives them too. */
  readonly #localCounters = localCountersBuffer()
  #proxy: ProxySetup
  #addresses: ProxyAddresses
  #closing = false
  #deaths = 0

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#proxy = options.setup.proxy
    this.#addresses = options.listen
    this.#seats = Array.from({ length: options.count }, (_, i) => makeSeat(i + 1))
  }

  /** Starts all; resolves once each of them listens. @throws {WorkerFailed} */
  async start(): Promise<void> {
    const threads = this.#seats.map((seat) => this.#spawn(seat))
    await Promise.all(threads.map((thread) => thread.prepared()))
    // One first: where the system chooses a port, the others take the same.
    const [first, ...others] = threads
    if (first) this.#addresses = await first.open(this.#options.listen)
    await Promise.all(others.map((thread) => thread.open(this.#addresses)))
  }

  get wanted(): number {
    return this.#seats.length
  }

  /** Where they listen, as bound. */
  get addresses(): ProxyAddresses {
    return this.#addresses
  }

  get running(): number {
    return this.#seats.filter(({ thread }) => thread !== undefined).length
  }

  /** Those that ended without being told to. */
  get deaths(): number {
    return this.#deaths
  }

  /** The sum over all workers, those that are gone included; so are the next three. */
  count(counter: Counter): number {
    return this.#seats.reduce((sum, { counters }) => sum + counters.get(counter), 0)
  }

  /** All that the proxy counts, at one moment. */
  counters(): Counters {
    return new Counters(this.#sum('proxy'))
  }

  cacheCounters(): CacheCounters {
    return new Counts(cacheCounterNames, this.#sum('cache')).all()
  }

  /** In ms. */
  loopDelay(): Histogram {
    return new Histogram(loopDelayBoundsMs, this.#sum('loopDelay'))
  }

  /** What each heap holds. @throws {WorkerFailed} when one does not tell */
  heaps(): Promise<readonly HeapInfo[]> {
    return Promise.all(this.#threads().map((thread) => thread.heap()))
  }

  /** Hands every thread a new setup, or none of them; sockets and connections stay. @throws {WorkerFailed} */
  async reload(proxy: ProxySetup): Promise<void> {
    const threads = this.#threads()
    const outcomes = await Promise.allSettled(threads.map((thread) => thread.reload(proxy)))
    const refused = outcomes.find(({ status }) => status === 'rejected')
    if (refused?.status === 'rejected') {
      await Promise.allSettled(threads.map((thread) => thread.reload(this.#proxy)))
      throw refused.reason
    }
    this.#proxy = proxy
  }

  /** Accepts nothing new; resolves once open requests are done, however long they take, or `stop` ends them. */
  async drain(): Promise<void> {
    this.#closing = true
    await Promise.all(this.#threads().map((thread) => thread.close(false).catch(() => undefined)))
  }

  /** Gives open requests a short grace, and ends all threads, those that do not answer as well. */
  async stop(): Promise<void> {
    this.#closing = true
    const { clock, logger } = this.#options.surroundings
    const closed = Promise.all(this.#threads().map((thread) => thread.close(true).catch(() => undefined)))
    const stuck = () => new WorkerFailed(`a worker thread did not close within ${closeLimitMs / 1000} s`)
    await within(clock, closeLimitMs, closed, stuck).catch((error) => {
      logger.scope('node').warn('a worker is ended by force', { error })
    })
    await Promise.all(this.#threads().map((thread) => thread.terminate()))
  }

  #sum(of: keyof WorkerCounts): Float64Array {
    return sumOf(this.#seats.map(({ counts }) => new Float64Array(counts[of])))
  }

  #threads(): WorkerThread[] {
    return this.#seats.flatMap(({ thread }) => thread ?? [])
  }

  #spawn(seat: Seat): WorkerThread {
    const { catalog, countBatch, updateRow, setup, surroundings } = this.#options
    const { clock, logger } = surroundings
    const { counts, number: owner } = seat
    const thread = new WorkerThread({
      catalog,
      setup: { ...setup, counts, proxy: this.#proxy },
      counting: { buffer: this.#localCounters, owner, countBatch },
      updateRow,
      clock,
      logger,
    })
    seat.thread = thread
    const born = clock.monotonic()
    void thread.ended.then((error) => {
      seat.thread = undefined
      seat.counters.clearHeld()
      releaseLocks(this.#localCounters, owner)
      if (this.#closing) return
      this.#deaths++
      logger.scope('node').error('a worker died and is replaced', { error })
      seat.failures = clock.monotonic() - born > livedLongMs ? 0 : seat.failures + 1
      void this.#replace(seat)
    })
    return thread
  }

  async #replace(seat: Seat): Promise<void> {
    const { clock, random, logger } = this.#options.surroundings
    const { failures } = seat
    if (failures > 0) await clock.sleep(backoffMs(failures - 1, replacement, random))
    if (this.#closing) return
    const thread = this.#spawn(seat)
    try {
      await thread.prepared()
      if (this.#closing) return
      await thread.open(this.#addresses)
      logger.scope('node').info('a worker was replaced')
    } catch (error) {
      logger.scope('node').error('a worker could not be replaced yet', { error })
      await thread.terminate()
    }
  }
}

function makeSeat(number: number): Seat {
  const counts = {
    proxy: sharedNumbers(counterCount),
    cache: sharedNumbers(cacheCounterNames.length),
    loopDelay: sharedNumbers(Histogram.lengthFor(loopDelayBoundsMs)),
  }
  const counters = new Counters(new Float64Array(counts.proxy))
  return { number, counts, counters, thread: undefined, failures: 0 }
}

function sharedNumbers(count: number): SharedArrayBuffer {
  return new SharedArrayBuffer(count * Float64Array.BYTES_PER_ELEMENT)
}
