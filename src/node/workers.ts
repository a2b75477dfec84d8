// The threads that serve traffic, as many as configured, and one in the place of each that dies.
import { backoffMs } from '../base/backoff.ts'
import { within } from '../base/clock.ts'
import type { AgentCatalog } from '../catalog/agent-catalog.ts'
import { type Counter, counterCount, counterIndex } from '../proxy/counters.ts'
import type { Surroundings } from './datastore.ts'
import { WorkerFailed } from './errors.ts'
import type { ProxyAddresses, ProxySetup, WorkerSetup } from './thread.ts'
import { WorkerThread } from './worker-thread.ts'

export interface WorkersOptions {
  readonly count: number
  readonly listen: ProxyAddresses
  readonly catalog: AgentCatalog
  readonly setup: Omit<WorkerSetup, 'catalog' | 'counters'>
  readonly surroundings: Surroundings
}

/** One thread's place: its counters outlive the thread. */
interface Seat {
  readonly counters: SharedArrayBuffer
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
/** Of what a thread holds, not of what it has done: gone with it. */
const momentary: readonly Counter[] = ['active', 'reading', 'writing', 'waiting']

export class Workers {
  readonly #options: WorkersOptions
  readonly #seats: readonly Seat[]
  #proxy: ProxySetup
  #addresses: ProxyAddresses
  #closing = false

  constructor(options: WorkersOptions) {
    this.#options = options
    this.#proxy = options.setup.proxy
    this.#addresses = options.listen
    const bytes = counterCount * Float64Array.BYTES_PER_ELEMENT
    this.#seats = Array.from({ length: options.count }, () => ({
      counters: new SharedArrayBuffer(bytes),
      thread: undefined,
      failures: 0,
    }))
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

  /** The sum over all workers, those that are gone included. */
  count(counter: Counter): number {
    const index = counterIndex[counter]
    return this.#seats.reduce((sum, { counters }) => sum + (new Float64Array(counters)[index] ?? 0), 0)
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

  #threads(): WorkerThread[] {
    return this.#seats.flatMap(({ thread }) => thread ?? [])
  }

  #spawn(seat: Seat): WorkerThread {
    const { catalog, setup, surroundings } = this.#options
    const { clock, logger } = surroundings
    const { counters } = seat
    const thread = new WorkerThread({
      catalog,
      setup: { ...setup, counters, proxy: this.#proxy },
      clock,
      logger,
    })
    seat.thread = thread
    const born = clock.monotonic()
    void thread.ended.then((error) => {
      seat.thread = undefined
      const numbers = new Float64Array(counters)
      for (const counter of momentary) numbers[counterIndex[counter]] = 0
      if (this.#closing) return
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
