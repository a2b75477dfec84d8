// A bench to try a plugin on, in this process and within milliseconds: everything that a request meets on a node is
// real, from socket to socket, and so is the Admin API. In the place of the datastore is memory.
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdmin } from '../admin/admin.ts'
import { EventStreams } from '../admin/event-streams.ts'
import { systemClock } from '../base/clock.ts'
import { http } from '../base/http.ts'
import type { Json, JsonObject, Row } from '../base/json.ts'
import { systemRandom } from '../base/random.ts'
import { Resources } from '../base/resources.ts'
import { coreEntities } from '../entities/entities.ts'
import { byEntity, rowWriter } from '../node/row-writer.ts'
import { makeSelfSigned } from '../node/self-signed.ts'
import type { KeyPair, LogRecord, Plugin } from '../plugins/plugin.ts'
import { joinPlugins } from '../plugins/plugins.ts'
import { BenchClock } from './bench-clock.ts'
import { DataPlane, recorderName } from './data-plane.ts'
import { keepLines, type Line, shownLine } from './kept-lines.ts'
import { loneAdmin } from './lone-admin.ts'
import { MemoryStore } from './memory-store.ts'
import { Upstream } from './upstream.ts'

export type { BenchClock, Line, Upstream }

export interface BenchOptions {
  /** Those to be tried; the shipped ones are there as well. */
  readonly plugins?: readonly Plugin[]
  /** Peers whose forwarding headers are believed. Default: none. */
  readonly trustedIps?: readonly string[]
  /** How much of a body is held for plugins. Default: as a node. */
  readonly heldBytesMax?: number
  /** Whether it listens for TLS as well, with a certificate of its own for localhost. Default: false. */
  readonly tls?: boolean
  /** Told what is logged as an error, as text with a line break: a plugin that threw, for one. Default: to standard error. */
  readonly print?: (text: string) => void
}

/** What the Admin API answered. */
export interface AdminAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The text as JSON; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: whoever asks knows what for
  readonly body: any
}

/** The API that is there from the start: every path that no other API has is its. */
const apiName = 'bench'

/**
 * Starts a gateway with these plugins, and an upstream behind it that answers what it was asked.
 * @throws {TroopError} `plugin-broken` for what a node would not load
 */
export async function startBench(options: BenchOptions = {}): Promise<Bench> {
  const bench = new Bench(options)
  try {
    await bench.start()
    return bench
  } catch (error) {
    await bench.stop()
    throw error
  }
}

export class Bench {
  /** Answers what it was asked, as JSON, and keeps what it saw; `answer` has it do something else. */
  readonly upstream = new Upstream()
  /** What plugins are told the time by. */
  readonly clock = new BenchClock()
  /** What gateway and plugins have logged so far. */
  readonly lines: Line[] = []
  readonly #plugins: readonly Plugin[]
  readonly #store: MemoryStore
  readonly #plane: DataPlane
  readonly #admin: Server
  readonly #resources = new Resources()

  /** Use {startBench}. */
  constructor({ plugins = [], print = toStandardError, tls = false, ...options }: BenchOptions) {
    const logger = keepLines((line) => {
      this.lines.push(line)
      if (line.level === 'error') print(shownLine(line))
    })
    this.#plugins = joinPlugins(plugins.map((plugin) => ({ name: plugin?.name, plugin })))
    const entities = [...coreEntities, ...this.#plugins.flatMap(({ entities }) => entities)]
    this.#store = new MemoryStore({
      entities,
      clock: this.clock,
      onChange: ({ name, logged = true }, old, next) => {
        if (logged) this.#spread(name, old, next)
      },
    })
    const writer = rowWriter({
      ...{ store: this.#store, entities: () => entities, logger },
      // What the store has, the catalog has.
      ...{ publish: async () => {}, ackTimeoutMs: () => 0 },
    })
    this.#plane = new DataPlane({
      ...options,
      ...{ plugins: this.#plugins, logger, pluginClock: this.clock },
      tls: tls ? { pair: ownPair() } : undefined,
      writer: byEntity(writer),
    })
    const admin = { ...loneAdmin, store: this.#store, plugins: this.#plugins, logger, clock: this.clock }
    this.#admin = http.createServer(createAdmin({ ...admin, streams: new EventStreams(admin) }).callback())
  }

  /** Called by {startBench}. */
  async start(): Promise<void> {
    await this.#resources.own('upstream', this.upstream).start()
    await this.#resources.own('data plane', this.#plane).start()
    this.#resources.add('admin api', async () => {
      this.#admin.closeAllConnections()
      this.#admin.close()
      await once(this.#admin, 'close')
    })
    this.#admin.listen(0, '127.0.0.1')
    await once(this.#admin, 'listening')
    await this.#made('/apis', { name: apiName, request_path: '/', upstream_url: this.upstream.url })
  }

  /** Where clients connect, e.g. `http://127.0.0.1:41234`. */
  get proxyUrl(): string {
    return `http://127.0.0.1:${this.#plane.port}`
  }

  /** Where clients connect with TLS; 0 without `tls`. */
  get tlsPort(): number {
    return this.#plane.tlsPort
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${(this.#admin.address() as AddressInfo).port}`
  }

  /** A request through the gateway, e.g. `/hello?x=1`; as `fetch`, but that redirects are not followed. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.proxyUrl}${path}`, { redirect: 'manual', ...init })
  }

  /** A request to the Admin API; a body is sent as JSON. */
  async admin(method: string, path: string, body?: Json): Promise<AdminAnswer> {
    const init = body === undefined ? {} : { body: JSON.stringify(body), headers: jsonHeaders }
    const response = await fetch(`${this.adminUrl}${path}`, { method, ...init })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: parsed(text) }
  }

  /**
   * Configures a plugin for the API that is there, or for one consumer of it, in the place of what was configured before.
   * @throws {Error} with what the Admin API says when it refuses
   */
  async configure(plugin: string, config: JsonObject = {}, consumer?: Row): Promise<Row> {
    const consumerId = consumer?.id ?? null
    const all = (await this.admin('GET', `/apis/${apiName}/plugins?size=1000`)).body.data as Row[]
    const before = all.find((row) => row.name === plugin && (row.consumer_id ?? null) === consumerId)
    if (before) await this.admin('DELETE', `/apis/${apiName}/plugins/${before.id}`)
    return this.#made(`/apis/${apiName}/plugins`, {
      ...{ name: plugin, config },
      ...(consumerId !== null && { consumer_id: consumerId }),
    })
  }

  /** Makes a consumer. @throws {Error} as `configure` */
  consumer(username: string): Promise<Row> {
    return this.#made('/consumers', { username })
  }

  /** What logging plugins were told of each request, so far. */
  get records(): readonly LogRecord[] {
    return this.#plane.records
  }

  /** The record of the `n`th request, from 1, once it has been made: some moments after its answer. */
  record(n: number): Promise<LogRecord> {
    return this.#plane.record(n)
  }

  /**
   * From now on nobody knows what the datastore holds, as when it is away and nothing is in memory; until the function
   * that is returned is called. Writes through the Admin API go on.
   */
  forget(): () => void {
    return this.#plane.catalog.away()
  }

  async stop(): Promise<void> {
    await this.#resources.release()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #made(path: string, body: JsonObject): Promise<Row> {
    const answer = await this.admin('POST', path, body)
    if (answer.status === 201) return answer.body
    throw new Error(`POST ${path} was answered ${answer.status}: ${answer.text.trim()}`)
  }

  /** A row changed: the data plane knows of it before whoever wrote it is answered. */
  #spread(entity: string, old: Row | null, next: Row | null): void {
    const { catalog } = this.#plane
    if (next) catalog.put(entity, next)
    else catalog.remove(entity, ({ id }) => id === old?.id)
    if (entity !== 'apis') return
    if (!old && next) catalog.put('plugins', recording(next))
    if (!next) catalog.remove('plugins', ({ api_id }) => api_id === old?.id)
  }
}

/** For as long as a test may take. */
function ownPair(): KeyPair {
  const now = systemClock.now()
  return makeSelfSigned({ validFrom: now - dayMs, validTo: now + dayMs, serial: systemRandom.hex(16) })
}

const dayMs = 86_400_000

function toStandardError(text: string): void {
  process.stderr.write(text)
}

const jsonHeaders = { 'content-type': 'application/json' }

/** Every API has its requests recorded; the Admin API knows nothing of it. */
function recording({ id }: Row): Row {
  const config = { name: recorderName, config: {}, enabled: true }
  return { id: `${id} ${recorderName}`, api_id: id as string, consumer_id: null, created_at: 0, ...config }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
