// However many callers miss a key, it is asked for once. Says when to ask, when to ask again and who gets the
// answer; the asking itself is handed in, so that the node asks the datastore and a worker asks the node.
import { codeOf } from '../base/errors.ts'
import type { Position } from '../base/stamp.ts'
import type { Entry } from './entry.ts'
import { FloorNotReached, LoadAbandoned, LoadsBusy } from './errors.ts'
import type { Floor, Floors } from './floor.ts'

/** Where answers are kept: the cache fits. */
export interface Shelf<T> {
  readonly floors: Floors
  fill(key: string, value: T | null, position: Position, floor: Floor, standIn: boolean): Entry<T> | undefined
  peekPurged(key: string): Entry<T> | undefined
}

export interface SingleFlightOptions<T, Q> {
  /** What this thread has applied. */
  readonly position: () => Position
  /** Asks; answers by `attempt.land` or `attempt.fail`, once, in this tick or later. */
  readonly send: (attempt: Attempt<T, Q>) => void
  /** Asked at once; the others queue. More loads a cold cache faster and leaves the datastore less for writes. */
  readonly flightsMax: number
  /** Callers that wait, of all flights together; beyond it they are refused at once. */
  readonly waitersMax: number
}

/** What a caller gets. */
export interface Landed<T> {
  /** Null: it is known that there is nothing. */
  readonly value: T | null
  /** The value is right as of this position. */
  readonly position: Position
  /** It is a purged entry, in place of an answer that the datastore could not give. */
  readonly standIn: boolean
}

/** One time of asking. */
export interface Attempt<T, Q> {
  readonly key: string
  readonly query: Q
  /** From 0. */
  readonly round: number
  /** Hands in an answer; ignored when a reset came in between. */
  land(value: T | null, position: Position, standIn?: boolean): void
  fail(error: unknown): void
}

interface Waiter<T> {
  readonly resolve: (landed: Landed<T>) => void
  readonly reject: (error: unknown) => void
  readonly isWaiting: () => boolean
}

interface Flight<T, Q> {
  readonly key: string
  readonly query: Q
  readonly waiters: Waiter<T>[]
  floor: Floor
  round: number
  /** Undefined while it queues. */
  attempt: Attempt<T, Q> | undefined
}

/**
 * Asked at most so often for one answer. One more is needed for each event of the key that overtakes an answer, so
 * this many in a row mean that the one asked is broken or far behind.
 */
const roundsMax = 6

export class SingleFlight<T, Q> {
  readonly #shelf: Shelf<T>
  readonly #options: SingleFlightOptions<T, Q>
  readonly #flights = new Map<string, Flight<T, Q>>()
  readonly #queue = new Set<Flight<T, Q>>()
  #active = 0
  #waiting = 0

  constructor(shelf: Shelf<T>, options: SingleFlightOptions<T, Q>) {
    this.#shelf = shelf
    this.#options = options
  }

  /**
   * Waits for the value under `key`, asking for it unless that was done already. The answer is kept in the cache
   * before any caller has it; one below the flight's floor is asked for again.
   *
   * @param isWaiting  asked before each round: a flight that nobody waits for any more ends
   * @throws {LoadsBusy} at once when too many wait; {FloorNotReached} when all answers were too old; else whatever
   *   `fail` was told, unless that is `datastore-away` and a purged entry can stand in
   */
  join(key: string, query: Q, isWaiting: () => boolean = always): Promise<Landed<T>> {
    const { waitersMax } = this.#options
    if (this.#waiting >= waitersMax) return Promise.reject(new LoadsBusy(waitersMax))
    const known = this.#flights.get(key)
    const flight = known ?? this.#open(key, query)
    this.#waiting++
    return new Promise<Landed<T>>((resolve, reject) => {
      flight.waiters.push({ resolve, reject, isWaiting })
      if (!known) this.#launch(flight)
    })
  }

  /** After the cache was reset: what was asked before counts no more, and everything is asked anew. */
  restart(): void {
    this.#active = 0
    this.#queue.clear()
    const flights = [...this.#flights.values()]
    for (const flight of flights) flight.attempt = undefined
    for (const flight of flights) {
      flight.floor = this.#shelf.floors.open(flight.key, this.#options.position())
      flight.round = 0
      this.#launch(flight)
    }
  }

  /** Ends all flights. */
  failAll(error: unknown): void {
    for (const flight of [...this.#flights.values()]) this.#settle(flight, (waiter) => waiter.reject(error))
  }

  #open(key: string, query: Q): Flight<T, Q> {
    const floor = this.#shelf.floors.open(key, this.#options.position())
    const flight: Flight<T, Q> = { key, query, waiters: [], floor, round: 0, attempt: undefined }
    this.#flights.set(key, flight)
    return flight
  }

  #launch(flight: Flight<T, Q>): void {
    if (!flight.waiters.some((waiter) => waiter.isWaiting())) {
      this.#settle(flight, (waiter) => waiter.reject(new LoadAbandoned()))
    } else if (this.#active >= this.#options.flightsMax) {
      this.#queue.add(flight)
    } else {
      this.#ask(flight)
    }
  }

  #ask(flight: Flight<T, Q>): void {
    this.#active++
    const attempt: Attempt<T, Q> = {
      key: flight.key,
      query: flight.query,
      round: flight.round,
      land: (value, position, standIn = false) => {
        if (flight.attempt === attempt) this.#land(flight, value, position, standIn)
      },
      fail: (error) => {
        if (flight.attempt === attempt) this.#fail(flight, error)
      },
    }
    flight.attempt = attempt
    this.#options.send(attempt)
  }

  #land(flight: Flight<T, Q>, value: T | null, position: Position, standIn: boolean): void {
    const entry = this.#shelf.fill(flight.key, value, position, flight.floor, standIn)
    if (!entry) {
      this.#free(flight)
      this.#again(flight)
      return
    }
    // No event of the key came since, so what was right at its stamp is right at what was applied meanwhile.
    const landed = {
      value: entry.value,
      position: Math.max(entry.position, this.#options.position()),
      standIn,
    }
    this.#settle(flight, (waiter) => waiter.resolve(landed))
  }

  #fail(flight: Flight<T, Q>, error: unknown): void {
    // Only a datastore that can't be reached: one that answers with an error, or is busy, may know better.
    const purged = codeOf(error) === 'datastore-away' && this.#shelf.peekPurged(flight.key)
    if (purged) {
      const position = Math.max(purged.position, this.#options.position())
      this.#settle(flight, (waiter) => waiter.resolve({ value: purged.value, position, standIn: true }))
    } else {
      this.#settle(flight, (waiter) => waiter.reject(error))
    }
  }

  #again(flight: Flight<T, Q>): void {
    flight.round++
    if (flight.round < roundsMax) this.#launch(flight)
    else this.#settle(flight, (waiter) => waiter.reject(new FloorNotReached(roundsMax)))
  }

  #settle(flight: Flight<T, Q>, tell: (waiter: Waiter<T>) => void): void {
    this.#shelf.floors.close(flight.key, flight.floor)
    this.#flights.delete(flight.key)
    this.#queue.delete(flight)
    this.#waiting -= flight.waiters.length
    for (const waiter of flight.waiters) tell(waiter)
    this.#free(flight)
  }

  /** Gives the flight's place to the one that has queued longest. */
  #free(flight: Flight<T, Q>): void {
    if (flight.attempt === undefined) return
    flight.attempt = undefined
    this.#active--
    for (const next of this.#queue) {
      if (this.#active >= this.#options.flightsMax) break
      this.#queue.delete(next)
      this.#launch(next)
    }
  }
}

function always(): boolean {
  return true
}
