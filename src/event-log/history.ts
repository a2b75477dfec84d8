// The log as people read it: pages from any position on, events parsed. A node follows the log by EventLog, whose
// pages are whole transactions, verified byte for byte.
import { type RawBuilder, sql } from 'kysely'
import type { Position, Stamp } from '../base/stamp.ts'
import type { Database } from '../database/database.ts'
import { DatastoreError } from '../database/errors.ts'
import { type Change, type LogEvent, parseChange } from './event.ts'

/** What an event says, and where. */
export type PlacedChange = Change & Pick<LogEvent, 'position' | 'first' | 'digest'>

export interface HistoryRequest {
  /** Only events after this position; -1 for all that are kept. */
  readonly after: Position
  /** Events at the most; 0 asks for the ends of the log alone. */
  readonly size: number
  /** Only events of this table, e.g. `apis`. */
  readonly entity?: string | undefined
  readonly operation?: string | undefined
}

export interface HistoryPage {
  /** In order; may be fewer than there are and were asked for: see `until`. */
  readonly events: readonly PlacedChange[]
  /** Up to where the log was searched: what comes next is after it. */
  readonly until: Position
  /** The newest event. */
  readonly head: Stamp
  /** The oldest event that pruning has left. */
  readonly firstKept: Position
  /** The digest at `after`; null where no event is. */
  readonly digest: string | null
}

export interface HistoryLimits {
  /** Positions that a page searches for events that match. */
  readonly searchedMax: number
  /** Bytes of bodies that a page holds, unless its first event alone has more. */
  readonly pageBytes: number
}

/**
 * Bodies without the word that is asked for cost 2 µs each and those with it 12 µs (measured), so a page takes the
 * server 0.1 to 0.6 s at the most.
 */
export const historyLimits: HistoryLimits = Object.freeze({ searchedMax: 50_000, pageBytes: 2 ** 20 })

/** The ends of the log, the same in every row, and an event; without any, one row with no position. */
interface Row {
  readonly head: Position
  readonly headDigest: string
  readonly firstKept: Position
  readonly digestAfter: string | null
  readonly position: Position | null
  readonly first: Position
  readonly digest: string
  /** Null beyond the page's bytes. */
  readonly body: string | null
}

export class History {
  readonly #database: Database
  readonly #limits: HistoryLimits

  constructor(database: Database, limits: HistoryLimits = historyLimits) {
    this.#database = database
    this.#limits = limits
  }

  /** One page, from one snapshot of the primary. @throws {DatastoreAway} or {DatastoreError} */
  async read(request: HistoryRequest): Promise<HistoryPage> {
    const rows = await this.#select(request)
    const [ends] = rows
    if (!ends) throw new DatastoreError('the log is empty: not even its genesis event is left')
    const { head, headDigest, firstKept, digestAfter } = ends
    const found = rows.filter(({ position }) => position !== null)
    const events = found.filter(isRead).map(placed)
    const start = Math.max(request.after, firstKept - 1)
    const searched = Math.max(start, Math.min(start + this.#limits.searchedMax, head))
    const isFull = events.length < found.length || events.length === request.size
    return {
      events,
      until: isFull ? (events.at(-1)?.position ?? start) : searched,
      head: { position: head, digest: headDigest },
      firstKept,
      digest: digestAfter,
    }
  }

  async #select({ after, size, entity, operation }: HistoryRequest): Promise<readonly Row[]> {
    const { searchedMax, pageBytes } = this.#limits
    const start = sql`greatest(${after}, ends."firstKept" - 1)`
    const query = sql<Row>`
      with ends as (
        select newest.position as head, encode(newest.digest, 'hex') as "headDigest",
          (select position from events order by position limit 1) as "firstKept",
          (select encode(digest, 'hex') from events where position = ${after}) as "digestAfter"
        from (select position, digest from events order by position desc limit 1) newest
      )
      select ends.*, found.*
      from ends left join lateral (
        select position, first, encode(digest, 'hex') as digest,
          case when place = 1 or bytes <= ${pageBytes} then body end as body
        from (
          select position, first, digest, body, row_number() over log as place,
            sum(octet_length(body)) over log as bytes
          from (
            select * from events
            where position > ${start} and position <= ${start} + ${searchedMax}
              and ${says('entity', entity)} and ${says('operation', operation)}
            order by position limit ${size}
          ) matching
          window log as (order by position)
        ) measured
      ) found on true
      order by found.position`
    return (await query.execute(this.#database.primary)).rows
  }
}

/** The condition that the event's body has this word under `name`; bodies without the word are not parsed for it. */
function says(name: string, word: string | undefined): RawBuilder<unknown> {
  if (word === undefined) return sql`true`
  return sql`case when strpos(body, ${JSON.stringify(word)}) > 0 then body::jsonb ->> ${name} = ${word} end`
}

function isRead(row: Row): row is Row & LogEvent {
  return row.body !== null
}

/** What `event` says, in its place. */
export function placed(event: LogEvent): PlacedChange {
  const { position, first, digest } = event
  return { ...parseChange(event), position, first, digest }
}
