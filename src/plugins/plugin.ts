// What a plugin is: a value with a name, a priority, a configuration table, entities and phases. It registers
// nothing and imports nothing of the node; the node lists it in plugins.ts or loads it from `custom_plugins`.
import type { Migration } from 'kysely/migration'
import type { Period, PerPeriod } from '../base/calendar.ts'
import type { Clock } from '../base/clock.ts'
import type { JsonObject, Row } from '../base/json.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { View } from '../catalog/catalog.ts'
import type { Entity, Fields } from '../entities/define.ts'
import type { ConfigOf } from './config-type.ts'

export interface Plugin {
  /** As in `plugins.name`, e.g. `key-auth`: lower-case letters, digits and `-`. */
  readonly name: string
  /** Higher runs earlier, in every phase (docs/plugins.md lists those of the shipped ones). */
  readonly priority: number
  /** Whether a configuration may be for one consumer; false for what runs before the consumer is known. */
  readonly perConsumer: boolean
  readonly config: Fields
  /** A rule over the whole configuration; returns its text when broken. Sees the merged configuration. */
  readonly checkConfig?: (config: JsonObject) => string | undefined
  /** A configuration that passes, where one of defaults alone does not. */
  readonly example?: JsonObject
  readonly entities: readonly Entity[]
  /** Run after the core's, recorded for this plugin alone. Each entity's table gets `log_changes`. */
  readonly migrations: Readonly<Record<string, Migration>>
  /** Makes the phases for one worker thread; what it opens is closed by `stop`. */
  readonly open: (host: PluginHost) => Phases
}

/** What a worker thread gives its plugins. */
export interface PluginHost {
  readonly logger: Logger
  readonly clock: Clock
  readonly random: Random
  readonly counters: Counters
  readonly writer: Writer
}

/**
 * Writes what a plugin stores: rows of its own entities, values as they are given, unchecked. What an event tells counts
 * at once; see each for whether other nodes are waited for.
 *
 * All throw `write-failed` when it could not be written, or it is not known whether it was; `reason` is the code of what
 * failed. Left to pass by `access` it becomes a 503.
 */
export interface Writer {
  /**
   * Changes the row that has all of `where`, if there is one. Other nodes learn of it as of any change, and are not
   * waited for.
   *
   * @returns  whether there was one
   */
  update(entity: Entity, where: Where, values: Row): Promise<boolean>
  /**
   * Makes a row. Where rows are logged all nodes have it when this resolves, as when a write of the Admin API returns:
   * those that can't be reached in time (`cluster.ack_timeout`) get it later.
   *
   * @returns  the row, the table's defaults filled in
   */
  insert(entity: Entity, values: Row): Promise<Row>
  /**
   * Gives the row of `from` that has all of `where` for one of `to`: of several who ask for it at once, on whatever
   * nodes, one gets it. One that is over (`Entity.expires`) is none. The new row has `values`, and of the old one what
   * both entities have, but not `id` and `created_at`. Other nodes are waited for as by `insert`.
   *
   * @returns  the new row, or null where there was none to give
   */
  exchange(from: Entity, where: Where, to: Entity, values: Row): Promise<Row | null>
}

/** Columns with their values, which one row at the most has; null asks for unset. */
export type Where = Readonly<Record<string, string | null>>

/** Counts of requests in the windows of the calendar (base/calendar.ts). */
export interface Counters {
  /** Of this node, all its threads together; in its memory, which a restart empties. Answers at once. */
  readonly local: Counting
  /** Of all nodes together, in the datastore. */
  readonly cluster: Counting
}

export interface Counting {
  /**
   * Counts one request in the current window of every period, unless a limit is used up: then in none. Does not throw;
   * a promise rejects with {CountersAway} when it could not be counted, or it is not known whether it was.
   */
  take(ask: Ask): Tally | Promise<Tally>
  /** What is counted in the current windows; counts nothing. As `take`, it does not throw but reject. */
  read(ask: Ask): PerPeriod<number> | Promise<PerPeriod<number>>
  /** Counts so many at once, whatever the limits are, and has nobody wait for it. What can't be counted is lost. */
  add(ask: Ask, times: number): void
}

/** How many requests may be counted in one window of a period; one that is absent has no limit. */
export type Limits = Readonly<Partial<Record<Period, number>>>

/** A request to be counted. Those that agree in the first three are counted together. */
export interface Ask {
  /** Where it is counted for all nodes: one that the plugin's migrations made (counter-table.ts). */
  readonly table: string
  /** Id of its API. */
  readonly api: string
  /** Whose request it is, e.g. the id of a consumer or an address. */
  readonly identifier: string
  readonly limits: Limits
  /** Whether it may be decided by what this node knows, and be counted after that. */
  readonly ahead?: boolean
}

export interface Tally {
  /** Whether it was counted; else it is over a limit. */
  readonly counted: boolean
  /** Requests counted in the current windows, this one among them if it was. */
  readonly used: PerPeriod<number>
}

/** A request as plugins see it: `proxy/request.ts` fits. */
export interface PluginRequest {
  readonly incoming: {
    readonly method: string
    readonly target: string
    /** e.g. `1.1` */
    readonly httpVersion: string
    /** As received: `Expect` and hop-by-hop ones, too. */
    readonly headers: Pick<PluginHeaders, 'get' | 'all' | 'has' | 'toObject'>
    readonly encrypted: boolean
    readonly remoteAddress: string
  }
  readonly clientAddress: string
  readonly api: Row
  /** The client's headers, as they will go upstream; `Host` is the client's, what goes upstream is `host`. */
  readonly headers: PluginHeaders
  /** The `Host` header that goes upstream. */
  host: string
  /** As sent upstream, byte for byte, each byte one char; `path` starts with `/`, `query` has no `?`. */
  path: string
  query: string | undefined
  /** How much of the body may pass; a plugin lowers it and never raises it. Undefined: all of it. */
  bodyLimit: BodyLimit | undefined
  consumer: Row | null
  credential: Row | null
  /**
   * All of the body, as an earlier plugin left it; empty where there is none. Without this nobody waits for a body, and
   * none is kept: it passes as it comes. One that was read goes upstream all the same.
   * @param bytesMax  default and most: the setting `proxy.held_body_max`
   * @throws {Refusal} 413 for a larger one, or what `bodyLimit` says; leave it to pass
   */
  readBody(bytesMax?: number): Promise<Buffer>
  /** What goes upstream as body; `Content-Length` is set to fit, and trailers are left out. */
  setBody(body: Uint8Array): void
  /**
   * Has what goes upstream made of what there is, piece by piece as it passes, in chunks and without trailers. Where there
   * is no body, `pipe` is not called. What it throws breaks the request off: 500, unless the client has an answer.
   */
  pipeBody(pipe: BodyPipe): void
}

/**
 * Holds where the length is not known beforehand, too: once more comes, the request upstream is broken off, never
 * completed, and the client is answered, or cut off if it has part of an answer. Nothing is held back for it.
 */
export interface BodyLimit {
  readonly bytesMax: number
  /** What the client is told. */
  readonly answer: PluginAnswer
}

export interface PluginHeaders {
  get(name: string): string | undefined
  all(name: string): string[]
  has(name: string): boolean
  /** In the place of all fields of that name. @throws {TypeError} for what can't stand in a head */
  set(name: string, value: string): void
  /** @throws {TypeError} as `set` */
  append(name: string, value: string): void
  remove(name: string): void
  /** Names in lower case, the values of one name joined by `, `; without a prototype. */
  toObject(): Record<string, string>
}

/** The response's head before it goes to the client: the upstream's, or the gateway's own answer. */
export interface PluginResponse {
  status: number
  readonly headers: PluginHeaders
  /** Sends no body; what the upstream still has to say is cut off. */
  dropBody(): void
  /**
   * Has the whole body given to `change`, and sends what that returns; the head waits for it. Several changes are made
   * in the order of the plugins. Where there is no body, in answers to HEAD for one, nothing is called.
   *
   * A body that is coded (gzip, deflate, br, zstd) is given decoded, and goes on as it is returned. One that is returned
   * itself goes on as it came. One that is larger than `proxy.held_body_max`, or can't be decoded, makes the answer a 502:
   * what should have been changed is never sent as it was.
   */
  changeBody(change: BodyChange): void
  /**
   * Has the body made of what the upstream says, piece by piece as it passes; nothing waits for the rest. A body that is
   * coded is given decoded. The head goes first, so what `pipe` throws cuts the answer off: the client never takes it for
   * complete. With a `changeBody` of another plugin the body is held all the same, and each does its part in turn.
   */
  pipeBody(pipe: BodyPipe): void
}

/**
 * An async generator as a rule: it takes the pieces of a body, as they come and cut anywhere, and gives those that go on. No
 * piece is asked for before the one that it gave last has been taken. One that returns early has seen enough: the rest
 * goes nowhere.
 */
export type BodyPipe = (body: AsyncIterable<Buffer>) => AsyncIterable<Uint8Array>

export type BodyChange = (body: Buffer) => Uint8Array | Promise<Uint8Array>

export interface PluginAnswer {
  readonly status: number
  /** An object is sent as JSON with a newline at its end; undefined sends no body. */
  readonly body?: object | string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

/** What a TLS server shows and proves: both in PEM. */
export interface KeyPair {
  /** The server's own certificate first, then those between it and its authority. */
  readonly certificate: string
  readonly key: string
}

export interface AccessTools {
  /** The catalog as this request or handshake sees it. A lookup that rejects with `unknown` is left to pass: it becomes a 503. */
  readonly catalog: View
}

/** What went through, told after the last byte; the record of docs/plugins.md. */
export type LogRecord = JsonObject

/**
 * All optional. `access` lets the request pass by returning nothing, answers it by returning an answer, and
 * refuses it by throwing a Refusal. Any other error is a 500 for this request alone. When the configuration
 * changes under a request, `access` runs again from the start, on a fresh request. `headers` and `log` run for
 * every request, also for one that an earlier plugin or the gateway answered.
 */
export interface Phases<Config = JsonObject> {
  access?(
    request: PluginRequest,
    config: Config,
    tools: AccessTools,
  ): undefined | PluginAnswer | Promise<undefined | PluginAnswer>
  headers?(response: PluginResponse, config: Config, request: PluginRequest): void
  log?(record: LogRecord, config: Config): void | Promise<void>
  /**
   * What a TLS client is shown that names the API's host; asked of the API's configurations, in order, until one
   * answers. The same object as long as it is the same pair: what TLS makes of it is kept with it. What it throws
   * ends the handshake.
   */
  certificate?(
    serverName: string,
    config: Config,
    tools: AccessTools,
  ): undefined | KeyPair | Promise<undefined | KeyPair>
  stop?(): void | Promise<void>
}

/** Thrown by a phase to refuse the request. */
export class Refusal extends Error {
  readonly answer: PluginAnswer

  constructor(status: number, body: object | string, headers: Readonly<Record<string, string>> = {}) {
    super(typeof body === 'string' ? body : JSON.stringify(body))
    this.name = 'Refusal'
    this.answer = { status, body: typeof body === 'string' ? { message: body } : body, headers }
  }
}

type Optional = 'priority' | 'perConsumer' | 'entities' | 'migrations'
type Definition<C extends Fields> = Omit<Plugin, Optional | 'config' | 'checkConfig' | 'open'> &
  Partial<Pick<Plugin, Optional>> & {
    readonly config?: C
    readonly checkConfig?: (config: JsonObject) => string | undefined
  } & (
    | { readonly open: (host: PluginHost) => Phases<ConfigOf<C>> }
    | { readonly phases: Phases<ConfigOf<C>> }
  )

/**
 * Fills in what most plugins leave out, and checks by name what the types can't. A plugin without anything to
 * open gives its `phases`; one that holds files or connections gives `open`, called once in each worker.
 * TypeScript knows from `config` what phases are given, if it stands before them.
 */
export function definePlugin<const C extends Fields>(definition: Definition<C>): Plugin {
  if (!/^[a-z0-9-]+$/.test(definition.name)) {
    throw new TypeError(
      `plugin ${JSON.stringify(definition.name)}: a name has lower-case letters, digits and - only`,
    )
  }
  // Whoever calls the phases gives them what was checked against the table.
  const open = ('open' in definition ? definition.open : () => definition.phases) as Plugin['open']
  const defaults = { priority: 0, perConsumer: true, entities: [], migrations: {}, config: {} }
  return Object.freeze({ ...defaults, ...definition, open })
}

/**
 * Calls `next` with `value`: now if it is here, else when it has come. Keeps a request whose lookups are all in
 * memory in one tick, where `await` would cost it a turn for each.
 */
export function andThen<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}
