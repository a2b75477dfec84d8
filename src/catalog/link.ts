// The port between the agent and one worker. What the agent has posted it counts in shared memory, and a worker that
// is behind that count drains its port before it looks anything up: acknowledged means served.
import { endianness } from 'node:os'
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { codeOf, describeError } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Position } from '../base/stamp.ts'
import type { AgentCatalog } from './agent-catalog.ts'
import type { Cached } from './apply.ts'
import type { Changes, Listener, Part, Seed } from './audience.ts'
import { LinkLost } from './errors.ts'
import type { Held, Kind } from './holdings.ts'
import type { SharedFilter } from './key-filter.ts'
import type { KeyValues } from './keys.ts'

/** What a link needs of its ports: those of a MessageChannel, and in one process whatever behaves alike. */
export type LinkPort = Pick<MessagePort, 'on' | 'postMessage' | 'close'>

/** One end of a link. Put the worker's into `workerData`, and its port into `transferList`. */
export interface LinkEnd<Port extends LinkPort = MessagePort> {
  readonly port: Port
  /** Two 64-bit counts that only rise: messages posted to the worker, and messages it has taken. */
  readonly counts: SharedArrayBuffer
}

type TakeNext = () => { readonly message: ToWorker } | undefined

/** A worker's end. `takeNext` takes the next message without waiting for the event loop; a MessagePort can by itself. */
export type WorkerEnd =
  | (LinkEnd & { readonly takeNext?: undefined })
  | (LinkEnd<LinkPort> & { readonly takeNext: TakeNext })

/** Positions travel inside messages: a reset lowers them, and some messages move none. */
export type ToWorker =
  | ({ readonly kind: 'part' } & Part)
  | ({ readonly kind: 'seed' } & Seed)
  | ({ readonly kind: 'changes' } & Changes)
  | { readonly kind: 'purge'; readonly position: Position }
  | { readonly kind: 'forget'; readonly key: string }
  /** As `Listener.filter`. */
  | { readonly kind: 'filter'; readonly filter: SharedFilter | undefined }
  | {
      readonly kind: 'found'
      readonly id: number
      readonly value: Cached | null
      readonly position: Position
      readonly standIn: boolean
    }
  | { readonly kind: 'failed'; readonly id: number; readonly code: string; readonly message: string }
  /** As `Holdings.page`; answered by `report` with its id. */
  | { readonly kind: 'list'; readonly id: number; readonly of: Kind; readonly anew: boolean }
  /** As `Holdings.inspect`, at this place in the stream of messages; answered by `report` with its id. */
  | { readonly kind: 'inspect'; readonly id: number; readonly of: Kind; readonly keys: readonly string[] }

export type ToAgent =
  | Question
  /** Requests wait for this position: the log is to be hurried along. Answered by the changes that come of it. */
  | { readonly kind: 'reach'; readonly position: Position }
  | { readonly kind: 'report'; readonly id: number; readonly report: Report }

/** What `Holdings` says. */
export type Report = readonly string[] | readonly Held[]

/** A question of the worker; answered by `found` or `failed` with its id, unless a seed comes in between. */
interface Question {
  readonly kind: 'find'
  readonly id: number
  /** The entity's name and the number of the lookup in it: both sides have the same tables. */
  readonly entity: string
  readonly lookup: number
  readonly values: KeyValues
}

const posted = 0
const taken = 1

/** Where the lower half of `posted` is, in halves. */
const postedLow = endianness() === 'LE' ? 0 : 1

/**
 * A worker this many messages behind does not run any more, or not fast enough ever to catch up: the agent gives it
 * up rather than hold what it will never read. At a thousand changes a second it is more than a minute.
 */
const behindMax = 100_000

/** Makes both ends. */
export function openLink(): { readonly agent: LinkEnd; readonly worker: LinkEnd } {
  const { port1, port2 } = new MessageChannel()
  const counts = new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT)
  return { agent: { port: port1, counts }, worker: { port: port2, counts } }
}

export interface AgentLinkOptions {
  readonly end: LinkEnd<LinkPort>
  readonly catalog: AgentCatalog
  readonly logger: Logger
  /** The worker was given up: replace it. Not called after `close`, nor when the worker ended by itself. */
  readonly onLost: (reason: string) => void
}

/** The agent's side of one worker: tells it of changes, and answers it. */
export class AgentLink {
  readonly #options: AgentLinkOptions
  readonly #counts: BigInt64Array
  readonly #detach: () => void
  /** Raised by every seed: the worker asks again what it had asked before. */
  #generation = 0
  /** What the worker was asked and has not answered; undefined tells that it ended. */
  readonly #asked = new Map<number, (report: Report | undefined) => void>()
  #lastId = 0
  #closed = false

  /** Posts the rows, bit by bit (when they are loaded), the seed, and every change after it. */
  constructor(options: AgentLinkOptions) {
    this.#options = options
    this.#counts = new BigInt64Array(options.end.counts)
    const { port } = options.end
    port.on('message', (message: ToAgent) => this.#hear(message))
    port.on('close', () => this.close())
    const listener: Listener = {
      part: (part) => this.#post({ kind: 'part', ...part }),
      seed: (seed) => {
        this.#generation++
        this.#post({ kind: 'seed', ...seed })
      },
      change: (changes) => this.#post({ kind: 'changes', ...changes }),
      purge: (position) => this.#post({ kind: 'purge', position }),
      forget: (key) => this.#post({ kind: 'forget', key }),
      filter: (filter) => this.#post({ kind: 'filter', filter }),
      holder: {
        page: (of, anew) => this.#ask<readonly string[]>((id) => ({ kind: 'list', id, of, anew })),
        inspect: (of, keys) => this.#ask<readonly Held[]>((id) => ({ kind: 'inspect', id, of, keys })),
      },
    }
    this.#detach = options.catalog.attach(listener)
  }

  /** Ends it: a worker that still runs finds itself behind with nothing to read, and answers nothing any more. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#detach()
    Atomics.add(this.#counts, posted, 1n)
    this.#options.end.port.close()
    for (const tell of this.#asked.values()) tell(undefined)
    this.#asked.clear()
  }

  #post(message: ToWorker): void {
    if (this.#closed) return
    this.#options.end.port.postMessage(message)
    // In this order: who sees the count must find the message.
    const count = Atomics.add(this.#counts, posted, 1n) + 1n
    if (count - Atomics.load(this.#counts, taken) <= behindMax) return
    const reason = `the worker is ${behindMax} messages behind`
    this.#options.logger.error('worker given up', { reason })
    this.close()
    this.#options.onLost(reason)
  }

  /** Asks the worker in this very tick; undefined when it ended before it answered. */
  #ask<R extends Report>(question: (id: number) => ToWorker): Promise<R | undefined> {
    if (this.#closed) return Promise.resolve(undefined)
    const id = ++this.#lastId
    return new Promise((resolve) => {
      this.#asked.set(id, resolve as (report: Report | undefined) => void)
      this.#post(question(id))
    })
  }

  #hear(message: ToAgent): void {
    switch (message.kind) {
      case 'find':
        void this.#answer(message)
        break
      case 'reach':
        this.#options.catalog.hurry(message.position)
        break
      case 'report':
        this.#asked.get(message.id)?.(message.report)
        this.#asked.delete(message.id)
        break
    }
  }

  async #answer({ id, entity, lookup, values }: Question): Promise<void> {
    const generation = this.#generation
    const isWaiting = () => !this.#closed && generation === this.#generation
    try {
      const known = this.#options.catalog.lookupOf(entity, lookup)
      if (!known) throw new TypeError(`the agent has no lookup ${lookup} of ${entity}`)
      const found = await this.#options.catalog.find(known.entity, known.lookup, values, isWaiting)
      if (isWaiting()) this.#post({ kind: 'found', id, ...found })
    } catch (error) {
      if (isWaiting()) this.#post({ kind: 'failed', id, ...reasonOf(error) })
    }
  }
}

/** The worker's side: hands every message on, once and in order, at the latest when a lookup needs it. */
export class WorkerLink {
  readonly #port: LinkPort
  readonly #takeNext: TakeNext
  readonly #counts: BigInt64Array
  /** The same memory. */
  readonly #halves: Int32Array
  readonly #receive: (message: ToWorker) => void
  #taken = 0n
  /** The lower half of it. */
  #takenLow = 0
  #lost: LinkLost | undefined

  constructor(
    { port, counts, takeNext = () => receiveMessageOnPort(port as MessagePort) }: WorkerEnd,
    receive: (message: ToWorker) => void,
    onLost: (e: LinkLost) => void,
  ) {
    this.#port = port
    this.#takeNext = takeNext
    this.#counts = new BigInt64Array(counts)
    this.#halves = new Int32Array(counts)
    this.#receive = receive
    port.on('message', (message: ToWorker) => this.#take(message))
    port.on('close', () => {
      this.#lost ??= new LinkLost('its port was closed')
      onLost(this.#lost)
    })
  }

  /**
   * Takes all messages that were posted by now.
   * @throws {LinkLost} when changes can't be heard any more: nothing may be answered from memory then
   */
  catchUp(): void {
    if (this.isCaughtUp) return
    const target = Atomics.load(this.#counts, posted)
    while (this.#taken < target) {
      const next = this.#lost ? undefined : this.#takeNext()
      if (!next) {
        this.#lost ??= new LinkLost('it was given up by its agent')
        throw this.#lost
      }
      this.#take(next.message)
    }
    if (this.#lost) throw this.#lost
  }

  /** Whether nothing was posted since. */
  get isCaughtUp(): boolean {
    // Each lookup asks. The whole number would be made anew each time, and the lower half is as good: the agent gives up
    // a worker long before that is the same again.
    return !this.#lost && Atomics.load(this.#halves, postedLow) === this.#takenLow
  }

  tell(message: ToAgent): void {
    this.#port.postMessage(message)
  }

  close(): void {
    this.#port.close()
  }

  #take(message: ToWorker): void {
    this.#taken++
    this.#takenLow = Number(BigInt.asIntN(32, this.#taken))
    Atomics.store(this.#counts, taken, this.#taken)
    try {
      this.#receive(message)
    } catch (error) {
      // Half of a change was taken: nothing here can be trusted any more, so the thread ends and is replaced.
      this.#lost ??= new LinkLost('a message could not be taken')
      queueMicrotask(() => {
        throw error
      })
      throw this.#lost
    }
  }
}

/** Of an Unknown, the reason; the worker says by itself what was unknown. */
function reasonOf(error: unknown): { code: string; message: string } {
  const reason = codeOf(error) === 'unknown' ? (error as Error).cause : error
  return { code: codeOf(reason) ?? 'lookup-failed', message: describeError(reason) }
}
