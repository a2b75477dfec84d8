// The log as it lies in Postgres.
import { type RawBuilder, sql } from 'kysely'
import type { Position, Stamp } from '../base/stamp.ts'
import type { Database } from '../database/database.ts'
import { DatastoreError } from '../database/errors.ts'
import type { LogEvent } from './event.ts'
import type { EventLog, Page } from './event-log.ts'
import type { PrunableLog, Retention } from './prune.ts'

export interface PageLimits {
  /** Events that a page holds, unless one transaction alone has more. */
  readonly pageEvents: number
  /** The same for the bytes of their bodies. */
  readonly pageBytes: number
  /** A transaction with more events than this is not pulled: loading anew is cheaper than applying it. */
  readonly transactionEventsMax: number
  /** The same for the bytes of its bodies, all of which are in memory at once. */
  readonly transactionBytesMax: number
}

/**
 * A page is applied in one tick, so it stays in the range of ten milliseconds. A transaction can't be split; at
 * 20,000 events (some 100 ms to verify and apply) the tick begins to hurt probes and proxied requests.
 */
export const pageLimits: PageLimits = Object.freeze({
  pageEvents: 1000,
  pageBytes: 4 * 2 ** 20,
  transactionEventsMax: 20_000,
  transactionBytesMax: 64 * 2 ** 20,
})

/** 2,700 years: Postgres knows no time before 4714 BC, and what is kept for longer is kept for ever. */
const keepDaysMost = 1_000_000

/** An event and whether its transaction ends with it. */
type Row = LogEvent & { readonly ends: boolean; readonly within: boolean }

export class PostgresEventLog implements EventLog, PrunableLog {
  readonly #database: Database
  readonly #limits: PageLimits

  constructor(database: Database, limits: PageLimits = pageLimits) {
    this.#database = database
    this.#limits = limits
  }

  async head(): Promise<Stamp> {
    const query = sql<Stamp>`
      select position, encode(digest, 'hex') as digest from events order by position desc limit 1`
    const head = (await query.execute(this.#database.primary)).rows[0]
    if (!head) throw new DatastoreError('the log is empty: not even its genesis event is left')
    return head
  }

  async read(applied: Stamp): Promise<Page> {
    const rows = await this.#slice(applied.position)
    const [here, ...next] = rows
    // The newest event is never pruned: a log without anything from here on ends before us.
    if (!here) return { kind: 'other-history' }
    if (here.position > applied.position) return { kind: 'jump', reason: 'pruned' }
    if (here.digest !== applied.digest) return { kind: 'other-history' }

    const last = next.findLastIndex(({ ends, within }) => ends && within)
    if (last >= 0) return page(next.slice(0, last + 1), last + 1 < next.length)
    return next[0] ? this.#transaction(next[0].first) : page([], false)
  }

  async hasBoth(...stamps: readonly [Stamp, Stamp]): Promise<boolean> {
    const [one, other] = stamps.map(
      ({ position, digest }) => sql<boolean>`exists (
        select from events where position = ${position} and digest = decode(${digest}, 'hex'))`,
    ) as [RawBuilder<boolean>, RawBuilder<boolean>]
    const query = sql<{ both: boolean }>`select ${one} and ${other} as both`
    return (await query.execute(this.#database.primary)).rows[0]?.both === true
  }

  /**
   * One statement, so nobody can sit on its locks. The one that keeps two nodes from doing it at the same time is not
   * the log's own, and no row that is deleted is one that a writer wants. It is taken after the snapshot: what another
   * node has deleted in between is still seen, and passed over.
   *
   * What is kept is found first: the oldest event that is not due, or that somebody may need, and with it the whole of
   * its transaction. The newest event is what the next one is chained on. A node needs the event at its own position,
   * to see that it is on the same history; one that has not said where it is may be anywhere.
   *
   * A step ends `eventsMax` positions on, which are as many events, or where the oldest transaction does if that is
   * further. A transaction that is too big to be pulled is whole to nobody, and goes in parts. Scans begin at the
   * oldest event and end at the first that is kept: if that is the same, they are short.
   */
  async prune({ keepDays, keepEvents }: Retention, eventsMax: number): Promise<number> {
    const keepPositions = Math.min(keepEvents, Number.MAX_SAFE_INTEGER)
    const keepSeconds = Math.min(keepDays, keepDaysMost) * 86_400
    const { transactionEventsMax } = this.#limits
    const query = sql`
      with oldest as (select position, first from events order by position limit 1),
      newest as (select position from events order by position desc limit 1),
      needed as (
        select min(coalesce(applied, 0)) as position from nodes
        where status <> 'left' and last_seen >= clock_timestamp() - make_interval(secs => ttl_on_failure)
      ),
      next as (
        select position from events
        where position > (select position from oldest) and (
          first > (select first from oldest)
          or position >= (select first from oldest) + ${transactionEventsMax}::bigint
        )
        order by position limit 1
      ),
      step as (
        select least(newest.position, needed.position,
          greatest(oldest.position + ${eventsMax}::bigint, (select position from next))) as position
        from oldest, newest, needed
      ),
      kept as (
        select case when position >= first + ${transactionEventsMax}::bigint then position else first end as position
        from events
        where position >= (select position from oldest) and (
          position >= (select position from step)
          or position > (select position from newest) - ${keepPositions}::bigint
            and at >= now() - make_interval(secs => ${keepSeconds})
        )
        order by events.position limit 1
      )
      delete from events
      where (select pg_try_advisory_xact_lock(hashtextextended('troop:prune:' || current_schema(), 0)))
        and position >= (select position from oldest) and position < (select position from kept)`
    return Number((await query.execute(this.#database.primary)).numAffectedRows)
  }

  /**
   * The events from `position` on, one more than a page. The bodies of those beyond the page's bytes stay in the
   * server. Of the very last row it can't be seen here whether its transaction goes on, so it is taken as if.
   */
  async #slice(position: Position): Promise<Row[]> {
    const { pageEvents, pageBytes } = this.#limits
    const rowsMax = pageEvents + 2
    const query = sql<Row>`
      select position, first, encode(digest, 'hex') as digest, ends, bytes <= ${pageBytes} as within,
        case when bytes <= ${pageBytes} then body else '' end as body
      from (
        select position, first, digest, body,
          coalesce(lead(first) over log <> first, row_number() over log < ${rowsMax}) as ends,
          sum(case when position > ${position} then octet_length(body) else 0 end) over log as bytes
        from (select * from events where position >= ${position} order by position limit ${rowsMax}) slice
        window log as (order by position)
      ) measured
      order by position`
    return (await query.execute(this.#database.primary)).rows
  }

  /** A transaction that is bigger than a page, whole, or not at all. */
  async #transaction(first: Position): Promise<Page> {
    const { transactionEventsMax, transactionBytesMax } = this.#limits
    // One more than the most, to see whether there is more; `first` has no index, positions have.
    const whole = sql`first = ${first} and position between ${first} and ${first + transactionEventsMax}`
    const size = await sql<{ events: number; bytes: number }>`
      select count(*) as events, coalesce(sum(octet_length(body)), 0)::bigint as bytes
      from events where ${whole}`.execute(this.#database.primary)
    const { events, bytes } = size.rows[0] as { events: number; bytes: number }
    if (events > transactionEventsMax || bytes > transactionBytesMax)
      return { kind: 'jump', reason: 'too-big' }
    const { rows } = await sql<LogEvent>`
      select position, first, encode(digest, 'hex') as digest, body
      from events where ${whole} order by position`.execute(this.#database.primary)
    return page(rows, true)
  }
}

function page(rows: readonly LogEvent[], more: boolean): Page {
  const events = rows.map(({ position, first, digest, body }) => ({ position, first, digest, body }))
  return { kind: 'events', events, more }
}
