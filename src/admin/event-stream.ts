// The log as it goes on, told to one client as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html). A stream is a place in the log: what lies
// between it and what this node has applied is read, and what is applied after that is passed on as it comes. It
// goes back to reading whenever the two do not meet, and while its client is slow, so that no more than a page is
// ever kept for a client.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Clock, Timer } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import type { JsonObject } from '../base/json.ts'
import type { Logger } from '../base/logger.ts'
import type { Position } from '../base/stamp.ts'
import type { EventFilter, LoggedEvent, LogPage, LogView, LogWatcher } from './log-view.ts'

export interface StreamOptions {
  /** Where nothing was written yet. */
  readonly response: ServerResponse
  /** Who listens, for the logger. */
  readonly client: string
  /** What is told begins after this position; undefined: with what is applied from now on. */
  readonly since: Position | undefined
  readonly filter: EventFilter
  /** The event as the client may see it. */
  readonly show: (event: LoggedEvent) => JsonObject
  readonly log: LogView
}

export interface StreamTimes {
  /** Between signs of life. Proxies cut a connection on which nothing moves, often after 60 s. */
  readonly heartbeatMs: number
  /** How long a client may take no byte of what waits for it. */
  readonly stallMs: number
}

export interface StreamParts extends StreamTimes {
  readonly clock: Clock
  readonly logger: Logger
  /** Called once, when the stream has ended for whatever reason. */
  readonly onEnd: () => void
}

/** Up to where the client was told. */
interface Cursor {
  readonly position: Position
  /** Undefined where only the client says that it has been there. */
  readonly digest: string | undefined
}

type Field = readonly [name: string, value: string | number]

/** Read at once: few enough to be held for every slow client, enough for thousands of events a second. */
const pageEvents = 100

/** While the datastore is away. */
const retryMs = 1000

export class EventStream implements LogWatcher {
  readonly #options: StreamOptions
  readonly #parts: StreamParts
  readonly #ending = new AbortController()
  #cursor: Cursor
  /** Whether what is applied is passed on; until then it is read. */
  #live = false
  #reading = false
  /** Whether something was applied, since the last read was sent, that is told by reading alone. */
  #lapsed = false
  #heartbeat: Timer | undefined
  #subscription: { end(): void } | undefined

  constructor(options: StreamOptions, parts: StreamParts) {
    const { log, since } = options
    this.#options = options
    this.#parts = parts
    this.#cursor = since === undefined ? log.applied() : { position: since, digest: undefined }
  }

  start(): void {
    // Its client may have gone while the request was read.
    if (this.#options.response.destroyed) this.#finish()
    else this.#begin()
  }

  /** Ends it; the client may come again and go on from where it was. */
  stop(): void {
    const { response } = this.#options
    // Who does not take what was sent would not take the end either.
    if (response.writableNeedDrain) response.destroy()
    else response.end()
    this.#finish()
  }

  apply(events: readonly LoggedEvent[]): void {
    try {
      for (const event of events) this.#pass(event)
    } catch (error) {
      this.#fail(error)
    }
  }

  lapse(): void {
    this.#live = false
    this.#lapsed = true
    void this.#catchUp()
  }

  #begin(): void {
    const { response, log, since } = this.#options
    response.once('close', () => this.#finish())
    response.on('error', (error) => this.#parts.logger.debug('a stream of events was cut short', { error }))
    response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache',
      // nginx in front of us would wait for more before it passes anything on.
      'X-Accel-Buffering': 'no',
      // Kept for another request, the connection would keep a stopping listener open.
      Connection: 'close',
    })
    // An id alone is no event; it says from where to go on, should the client be cut off before the first one.
    this.#write([['id', this.#cursor.position]])
    this.#scheduleHeartbeat()
    this.#subscription = log.watch(this)
    if (since === undefined) this.#live = true
    else void this.#catchUp()
  }

  #pass(event: LoggedEvent): void {
    const next = this.#cursor.position + 1
    if (!this.#live || event.position < next) return
    if (event.position === next && !this.#options.response.writableNeedDrain) this.#tell(event)
    else this.lapse()
  }

  /** Reads until the client was told all that this node has applied. Never rejects. */
  async #catchUp(): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    try {
      while (!this.#live && !this.#ended) await this.#readOn()
    } catch (error) {
      this.#fail(error)
    }
    this.#reading = false
  }

  /** Tells one page, as far as it is applied: who hears of a change here finds it served here. */
  async #readOn(): Promise<void> {
    const { log } = this.#options
    await this.#drained()
    this.#lapsed = false
    const applied = log.applied().position
    const page = await this.#read()
    if (!page) return
    for (const event of this.#isInHistory(page) ? page.events : []) {
      await this.#drained()
      if (event.position > log.applied().position) break
      this.#tell(event)
    }
    // A head below what was applied before it was asked for is of another history. This node is about to find that
    // out and to load anew, which is a lapse.
    const isBehind = this.#cursor.position < log.applied().position && page.head.position >= applied
    // In the same tick as the look at what is applied, or what is applied in between would be told by nobody.
    this.#live = !isBehind && !this.#lapsed && !this.#ended
  }

  /** Undefined after a while when the datastore is away. */
  async #read(): Promise<LogPage | undefined> {
    try {
      return await this.#options.log.read({ after: this.#cursor.position, size: pageEvents })
    } catch (error) {
      if (codeOf(error) !== 'datastore-away') throw error
      await this.#parts.clock.sleep(retryMs, this.#ending.signal)
      return undefined
    }
  }

  /** Whether the log goes on from where the client is. Where it does not, the client is told from where it does. */
  #isInHistory({ head, firstKept, digest }: LogPage): boolean {
    const { position, digest: known } = this.#cursor
    if (position > head.position || (known !== undefined && digest !== null && known !== digest)) {
      this.#reset(head, 'other-history')
      return false
    }
    if (position < firstKept - 1) this.#reset({ position: firstKept - 1, digest: undefined }, 'pruned')
    else if (digest !== null) this.#cursor = { position, digest }
    return true
  }

  #reset(cursor: Cursor, reason: 'other-history' | 'pruned'): void {
    const { position } = cursor
    this.#cursor = cursor
    this.#writeEvent('reset', { position, reason })
  }

  #tell(event: LoggedEvent): void {
    const { position, digest, entity, operation } = event
    const { filter, show } = this.#options
    this.#cursor = { position, digest }
    if (filter.entity !== undefined && filter.entity !== entity) return
    if (filter.operation !== undefined && filter.operation !== operation) return
    this.#writeEvent('change', show(event))
  }

  #scheduleHeartbeat(): void {
    const { clock, heartbeatMs } = this.#parts
    this.#heartbeat = clock.after(heartbeatMs, () => {
      this.#scheduleHeartbeat()
      const { response } = this.#options
      // The id stands for what the filter left out: the client need not ask for it again.
      if (!response.writableNeedDrain) this.#write([['', 'heartbeat'], this.#id])
      // What it was sent last has filled its connection; how long it stays full is measured there.
      else if (this.#live) this.lapse()
    })
  }

  get #id(): Field {
    return ['id', this.#cursor.position]
  }

  #writeEvent(name: string, data: JsonObject): void {
    this.#write([this.#id, ['event', name], ['data', JSON.stringify(data)]])
  }

  /** A field without a name is a comment. No value has a line break: JSON escapes them. */
  #write(fields: readonly Field[]): void {
    if (this.#ended) return
    const lines = fields.map(([name, value]) => `${name}: ${value}\n`)
    this.#options.response.write(`${lines.join('')}\n`)
  }

  /** Resolves once the client has taken what it was sent, or the stream has ended. */
  async #drained(): Promise<void> {
    const { response, client } = this.#options
    const { clock, stallMs, logger } = this.#parts
    if (this.#ended || !response.writableNeedDrain) return
    const stall = clock.after(stallMs, () => {
      logger.warn('a stream of events was cut: its client does not read', { client, stallMs })
      response.destroy()
      this.#finish()
    })
    await once(response, 'drain', { signal: this.#ending.signal }).catch(() => undefined)
    stall.cancel()
  }

  #fail(error: unknown): void {
    this.#parts.logger.error('a stream of events failed', { client: this.#options.client, error })
    this.stop()
  }

  get #ended(): boolean {
    return this.#ending.signal.aborted
  }

  #finish(): void {
    if (this.#ended) return
    this.#ending.abort()
    this.#live = false
    this.#heartbeat?.cancel()
    this.#subscription?.end()
    this.#parts.onEnd()
  }
}
