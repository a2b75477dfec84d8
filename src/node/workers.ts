// The threads that serve traffic, as many as configured, and one in the place of each that dies.
import type { HeapInfo } from 'node:v8'
import { backoffMs } from '../base/backoff.ts'
import { within } from '../base/clock.ts'
import { Counts, sumOf } from '../base/counts.ts'
import { Histogram } from '../base/histogram.ts'
import type { LogFields, Logger } from '../base/logger.ts'
import { loopDelayBoundsMs } from '../base/loop-delay.ts'
import { type CacheCounters, cacheCounterNames } from '../cache/cache.ts'
import type { AgentCatalog } from '../catalog/agent-catalog.ts'
import { api } from '../entities/api.ts'
import { type ApiCounts, ApiPlaces, apiCountersLength } from '../proxy/api-counters.ts'
import { type Counter, Counters, counterCount } from '../proxy/counters.ts'
import { ApiSeries } from './api-series.ts'
import type { CountBatch } from './counters/batch.ts'
import { localCountersBuffer, releaseLocks } from './counters/local-counters.ts'
import type { Surroundings } from './datastore.ts'
import { WorkerFailed } from './errors.ts'
import type { RowWriter } from './row-writer.ts'
import type { ProxyAddresses, ProxySetup, WorkerCounts, WorkerSetup } from './thread.ts'
import { type StoodStill, Watchdog } from './watchdog.ts'
import { WorkerThread } from './worker-thread.ts'

export interface WorkersOptions {
  readonly count: number
  readonly listen: ProxyAddresses
  readonly catalog: AgentCatalog
  /** Counts requests for all nodes. */
  readonly countBatch: CountBatch
  /** Of so many APIs the requests are counted by themselves. */
  readonly apisCounted: number
  readonly setup: Omit<
    WorkerSetup,
    'catalog' | 'counts' | 'apiPlaces' | 'counting' | 'whereabouts' | 'writing'
  >
  /** For how long one may stand still before it is replaced; 0 for ever. */
  readonly standstillMaxMs: number
  /** Writes what plugins ask for. */
  readonly rowWriter: RowWriter
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
  bornAt: number
  /** Threads that died soon after they were made, one after the other. */
  failures: number
}

export interface WorkersState {
  readonly running: number
  readonly wanted: number
  readonly hanging: number
}

/** A worker that dies at once, again and again, is not to take the machine with it. */
const replacement = { firstMs: 100, mostMs: 5000 }
/** One that lived this long died of something new. */
const livedLongMs = 10_000
/** Beyond the grace that open requests get; a worker that takes longer is stuck. */
const closeLimitMs = 3000
/** To end a thread is a matter of milliseconds, unless it waits outside of JavaScript. */
const endLimitMs = 2000

export class Workers {
  readonly #options: WorkersOptions
  readonly #seats: readonly Seat[]
  /** What they count together of callers' requests; outlives them too. */
  readonly #localCounters = localCountersBuffer()
  readonly #apiPlaces: SharedArrayBuffer
  readonly #apis: ApiSeries
  #proxy: ProxySetup
  #addresses: ProxyAddresses
  readonly #watchdog: Watchdog<WorkerThread>
  /** Threads that were told to end and can't: they wait in a call of the system. */
  readonly #hanging = new Set<WorkerThread>()
  #closing = false
  #deaths = 0
  #hangs = 0

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#proxy = options.setup.proxy
    this.#addresses = options.listen
    const { catalog, apisCounted } = options
    this.#seats = Array.from({ length: options.count }, (_, i) => makeSeat(i + 1, apisCounted))
    this.#apiPlaces = ApiPlaces.bufferFor(apisCounted)
    this.#apis = new ApiSeries({
      places: this.#apiPlaces,
      rows: () => catalog.rows(api),
      counted: this.#seats.map(({ counts }) => new Float64Array(counts.apis)),
    })
    catalog.attach(this.#apis)
    this.#watchdog = new Watchdog({
      clock: options.surroundings.clock,
      limitMs: options.standstillMaxMs,
      threads: () => this.#threads().filter(({ listens }) => listens),
      onStuck: (thread, stood) => void this.#giveUp(thread, stood),
    })
  }

  /** Starts all; resolves once each of them listens. @throws {WorkerFailed} */
  async start(): Promise<void> {
    const threads = this.#seats.map((seat) => this.#spawn(seat))
    await Promise.all(threads.map((thread) => thread.prepared()))
    // One first: where the system chooses a port, the others take the same.
    const [first, ...others] = threads
    if (first) this.#addresses = await first.open(this.#options.listen)
    await Promise.all(others.map((thread) => thread.open(this.#addresses)))
    this.#watchdog.start()
  }

  /** How many there are and should be, and those that hang, can't be ended, and keep their connections. */
  get state(): WorkersState {
    return { running: this.running, wanted: this.#seats.length, hanging: this.#hanging.size }
  }

  /** Where they listen, as bound. */
  get addresses(): ProxyAddresses {
    return this.#addresses
  }

  get running(): number {
    return this.#seats.filter(({ thread }) => thread !== undefined).length
  }

  /** Those that ended without being told to, or hung. */
  get deaths(): number {
    return this.#deaths
  }

  /** Those that stood still for too long. */
  get hangs(): number {
    return this.#hangs
  }

  /** For how long a thread may stand still from now on; 0 for ever. */
  limitStandstill(ms: number): void {
    this.#watchdog.limit(ms)
  }

  /** The sum over all workers, those that are gone included; so are the next three. */
  count(counter: Counter): number {
    return this.#seats.reduce((sum, { counters }) => sum + counters.get(counter), 0)
  }

  /** All that the proxy counts, at one moment. */
  counters(): Counters {
    return new Counters(this.#sum('proxy'))
  }

  /** What became of the requests of each API, by its name; see ApiSeries. */
  apiCounts(): ReadonlyMap<string, ApiCounts> {
    return this.#apis.read()
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
    const { clock } = this.#options.surroundings
    const closed = Promise.all(this.#threads().map((thread) => thread.close(true).catch(() => undefined)))
    const stuck = () => new WorkerFailed(`a worker thread did not close within ${closeLimitMs / 1000} s`)
    await within(clock, closeLimitMs, closed, stuck).catch((error) => {
      this.#logger.warn('a worker is ended by force', { error })
    })
    this.#watchdog.stop()
    await Promise.all([...this.#threads(), ...this.#hanging].map((thread) => this.#end(thread)))
  }

  #sum(of: keyof WorkerCounts): Float64Array {
    return sumOf(this.#seats.map(({ counts }) => new Float64Array(counts[of])))
  }

  #threads(): WorkerThread[] {
    return this.#seats.flatMap(({ thread }) => thread ?? [])
  }

  #spawn(seat: Seat): WorkerThread {
    const { catalog, countBatch, rowWriter, setup, surroundings } = this.#options
    const { clock, logger } = surroundings
    const { counts, number: owner } = seat
    const thread = new WorkerThread({
      catalog,
      setup: { ...setup, counts, apiPlaces: this.#apiPlaces, proxy: this.#proxy },
      counting: { buffer: this.#localCounters, owner, countBatch },
      rowWriter,
      clock,
      logger,
    })
    seat.thread = thread
    seat.bornAt = clock.monotonic()
    void thread.ended.then((error) => {
      this.#hanging.delete(thread)
      if (seat.thread !== thread) return
      if (!this.#closing) this.#logger.error('a worker died and is replaced', { ...described(seat), error })
      this.#vacate(seat, clock.monotonic() - seat.bornAt)
    })
    return thread
  }

  /** @param livedMs  for how long the thread that was there did its work */
  #vacate(seat: Seat, livedMs: number): void {
    seat.thread = undefined
    seat.counters.clearHeld()
    releaseLocks(this.#localCounters, seat.number)
    if (this.#closing) return
    this.#deaths++
    seat.failures = livedMs > livedLongMs ? 0 : seat.failures + 1
    void this.#replace(seat)
  }

  async #replace(seat: Seat): Promise<void> {
    const { clock, random } = this.#options.surroundings
    const { failures } = seat
    if (failures > 0) await clock.sleep(backoffMs(failures - 1, replacement, random))
    if (this.#closing) return
    const thread = this.#spawn(seat)
    try {
      await thread.prepared()
      if (this.#closing) return
      await thread.open(this.#addresses)
      this.#logger.info('a worker was replaced', { worker: seat.number })
    } catch (error) {
      this.#logger.error('a worker could not be replaced yet', { worker: seat.number, error })
      await thread.terminate()
    }
  }

  /** Replaces a thread that stands still, unless it moves again by the time that it is known where it stands. */
  async #giveUp(thread: WorkerThread, { ms, ran }: StoodStill): Promise<void> {
    const seat = this.#seats.find((seat) => seat.thread === thread)
    if (!seat) return
    const { beats } = thread.sight()
    const stack = await thread.stack()
    const fields = { ...described(seat), stoodStillMs: Math.round(ms), busy: ran, stack }
    if (seat.thread !== thread) return
    if (thread.sight().beats !== beats) {
      this.#logger.warn('a worker stood still for long, and goes on', fields)
      return
    }
    this.#hangs++
    this.#logger.error('a worker hangs and is replaced', fields)
    // It died when it came to stand still, however long that was watched.
    const livedMs = this.#options.surroundings.clock.monotonic() - seat.bornAt - ms
    seat.thread = undefined
    await this.#end(thread)
    this.#vacate(seat, livedMs)
  }

  /** Ends a thread, or leaves one that can't be ended to itself: it does nothing any more once its call returns. */
  async #end(thread: WorkerThread): Promise<void> {
    const endless = () => new WorkerFailed('it waits in a call of the system, which nothing can end')
    await within(this.#options.surroundings.clock, endLimitMs, thread.terminate(), endless).catch((error) => {
      this.#hanging.add(thread)
      this.#logger.error(
        'a worker that hangs cannot be ended: it keeps its connections until its call returns',
        {
          where: thread.whereabout(),
          error,
        },
      )
    })
  }

  get #logger(): Logger {
    return this.#options.surroundings.logger.scope('node')
  }
}

/** Which worker, and what had it: the plugin that it is in, or that had it last. */
function described({ number, thread }: Seat): LogFields {
  const where = thread?.whereabout()
  if (!where) return { worker: number }
  const { inside, ...last } = where
  return inside ? { worker: number, ...last } : { worker: number, last }
}

function makeSeat(number: number, apisCounted: number): Seat {
  const counts = {
    proxy: sharedNumbers(counterCount),
    apis: sharedNumbers(apiCountersLength(apisCounted)),
    cache: sharedNumbers(cacheCounterNames.length),
    loopDelay: sharedNumbers(Histogram.lengthFor(loopDelayBoundsMs)),
  }
  const counters = new Counters(new Float64Array(counts.proxy))
  return { number, counts, counters, thread: undefined, bornAt: 0, failures: 0 }
}

function sharedNumbers(count: number): SharedArrayBuffer {
  return new SharedArrayBuffer(count * Float64Array.BYTES_PER_ELEMENT)
}
