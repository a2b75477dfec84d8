// What tests of the log, the follower and the store share.
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { Stamp } from '../../src/base/stamp.ts'
import { Database, type DatabaseOptions } from '../../src/database/database.ts'
import { eventDigest } from '../../src/event-log/digest.ts'
import { type LogEvent, parseChange } from '../../src/event-log/event.ts'
import type { EventLog, Page, Subscriber } from '../../src/event-log/event-log.ts'
import type { TestDatabase } from './postgres.ts'

export const parts = { clock: systemClock, random: systemRandom, logger: silentLogger }

export function openDatabase(test: TestDatabase, options: Partial<DatabaseOptions> = {}): Database {
  const { host, port, user, password, database } = test
  return new Database({ host, port, user, password, database, ...options }, { logger: silentLogger })
}

/** Waits until `condition` holds; the test's own time limit is the bound. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.sleep(5)
}

/** Remembers what it is told. Loads are stamped by the log's own head, as a store's are. */
export class Recorder implements Subscriber {
  readonly transactions: (readonly LogEvent[])[] = []
  readonly loads: string[] = []
  readonly #log: EventLog
  /** Called before each load; may throw. */
  onLoad: () => void | Promise<void> = () => {}

  constructor(log: EventLog) {
    this.#log = log
  }

  apply(events: readonly LogEvent[]): void {
    this.transactions.push(events)
  }

  async load(reason: string): Promise<Stamp> {
    this.loads.push(reason)
    await this.onLoad()
    return this.#log.head()
  }

  positions(): number[] {
    return this.transactions.flat().map(({ position }) => position)
  }

  changes(): string[] {
    return this.transactions.flat().map((event) => {
      const { entity, operation } = parseChange(event)
      return `${operation} ${entity}`
    })
  }
}

/** A log in memory, under the same rules as the real one. */
export class MemoryLog implements EventLog {
  events: LogEvent[] = [event(0, 0, '', 'genesis')]
  /** Transactions that a page holds. */
  pageTransactions = 100
  reads = 0
  /** Awaited before a read or a head answers what was seen when it was sent; may throw. */
  delay: () => void | Promise<void> = () => {}

  async head(): Promise<Stamp> {
    const head = this.at(this.events.length - 1)
    await this.delay()
    return head
  }

  async read(applied: Stamp): Promise<Page> {
    this.reads++
    const page = this.#page(applied)
    await this.delay()
    return page
  }

  async hasBoth(...stamps: readonly [Stamp, Stamp]): Promise<boolean> {
    const isHere = stamps.every(({ position, digest }) => this.events[position]?.digest === digest)
    await this.delay()
    return isHere
  }

  at(position: number): Stamp {
    const { digest } = this.events[position] as LogEvent
    return { position, digest }
  }

  /** Appends one transaction with an event for each of `bodies`. */
  append(...bodies: string[]): Stamp {
    const first = this.events.length
    for (const body of bodies) {
      const before = this.events.at(-1)?.digest ?? ''
      this.events.push(event(this.events.length, first, before, body))
    }
    return this.at(this.events.length - 1)
  }

  /** Loses everything from `position` on. */
  cut(position: number): void {
    this.events = this.events.slice(0, position)
  }

  #page(applied: Stamp): Page {
    const here = this.events[applied.position]
    if (here?.digest !== applied.digest) return { kind: 'other-history' }
    const firsts = this.events.slice(applied.position + 1).map(({ first }) => first)
    const taken = [...new Set(firsts)].slice(0, this.pageTransactions)
    const events = this.events.filter(({ first }) => taken.includes(first))
    return { kind: 'events', events, more: events.length < firsts.length }
  }
}

function event(position: number, first: number, before: string, text: string): LogEvent {
  const body = text.startsWith('{') ? text : JSON.stringify({ entity: 'apis', operation: text })
  return { position, first, digest: eventDigest(before, position, body), body }
}
