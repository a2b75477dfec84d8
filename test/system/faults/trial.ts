// A cluster of real nodes under constant load, and everything of it within reach of whoever is to break it: its
// processes, its datastore, and the wires in between.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock, within } from '../../../src/base/clock.ts'
import type { JsonObject } from '../../../src/base/json.ts'
import { Upstream } from '../../../src/testing/upstream.ts'
import { until } from '../../support/log.ts'
import { NodeProcess } from '../../support/node-process.ts'
import { type TestDatabase, type TestServer, testServer } from '../../support/postgres.ts'
import { TcpProxy, type Wire } from '../../support/tcp-proxy.ts'
import { Clients } from './clients.ts'
import { ClockShift } from './clock-shift.ts'
import { Disk } from './disk.ts'
import { type Answer, type Committed, History } from './history.ts'
import { judge } from './judge.ts'
import { NodeNetwork } from './node-network.ts'
import { countsOf, type Observation } from './observation.ts'
import { cachedRoutes, committedOf, firstKeys, type Register, registersOn } from './registers.ts'

export interface TrialOptions {
  /** Default 3. */
  readonly size?: number | undefined
  /** Of the section `cluster` of every node. */
  readonly cluster?: JsonObject
  /** Of the Postgres server. */
  readonly postgres?: Readonly<Record<string, string>>
  /** Whether nodes reach each other by relays. */
  readonly relayed?: boolean
  /** Whether each node lives in a network namespace of its own. */
  readonly apart?: boolean
  /** Whether the last node has a clock of its own. */
  readonly ownClock?: boolean
  /** Megabytes of the disk that the server's data lies on; default: the machine's. */
  readonly serverDisk?: number
  /** Megabytes of the disk that the last node's working directory lies on; default: the machine's. */
  readonly nodeDisk?: number
  /** Source of a plugin that every node has besides the shipped ones. */
  readonly plugin?: string
}

/** Whoever is not there by then has to be taken for lost. */
const settleLimitMs = 90_000
/** Load before anything breaks, and after everything is well again. */
const calmMs = 1000
/** Two workers, so that one can know what the other does not; memory as for one of many nodes on a small machine. */
const modest = { workers: 2, memory_cache_size: 32 }
/** A crash of the server is to lose no commit: these are promises about it. Its disk is not put to the test. */
const safeEnough = { synchronous_commit: 'on' }

export class Trial {
  readonly nodes: NodeProcess[] = []
  /** By node: how it reaches the datastore. */
  readonly wires: TcpProxy[] = []
  /** Connections to the datastore by which nodes were ever notified. */
  readonly listening: Wire[] = []
  /** By node: how the others reach it, if they are relayed. */
  readonly relays: TcpProxy[] = []
  readonly server: TestServer
  readonly database: TestDatabase
  readonly upstream: Upstream
  readonly #options: TrialOptions
  readonly #size: number
  #registers: readonly Register[] = []
  /** By name. */
  readonly #numbers = new Map<string, number>()
  #history = new History()
  #wishes = 0
  readonly #releases: (() => unknown)[] = []
  #network: NodeNetwork | undefined
  /** Where the upstream is reached from other namespaces. */
  #upstreamDoor: TcpProxy | undefined
  #clock: ClockShift | undefined
  #serverDisk: Disk | undefined
  #nodeDisk: Disk | undefined

  private constructor(options: TrialOptions, server: TestServer, database: TestDatabase, upstream: Upstream) {
    this.#options = options
    this.#size = options.size ?? 3
    this.server = server
    this.database = database
    this.upstream = upstream
  }

  /** Starts the cluster; resolves once all nodes know each other and serve. */
  static async start(options: TrialOptions = {}): Promise<Trial> {
    const server = await testServer({ ...safeEnough, ...options.postgres })
    const upstream = new Upstream()
    upstream.answer = (request, response) => response.end(request.url)
    const trial = new Trial(options, server, await server.database(), await upstream.start())
    try {
      await trial.#prepare()
      await trial.#populate()
      return trial
    } catch (error) {
      await trial.remove()
      throw error
    }
  }

  async remove(): Promise<void> {
    for (const release of this.#releases.reverse()) await release()
    await this.upstream.stop()
    await this.server.remove()
  }

  /** Between the nodes, where packets can be dropped. */
  get network(): NodeNetwork {
    return this.#network as NodeNetwork
  }

  /** That of the last node. */
  get clock(): ClockShift {
    return this.#clock as ClockShift
  }

  get serverDisk(): Disk {
    return this.#serverDisk as Disk
  }

  get nodeDisk(): Disk {
    return this.#nodeDisk as Disk
  }

  /** A node, of which there is one. */
  node(number: number): NodeProcess {
    const node = this.nodes[number]
    if (!node) throw new RangeError(`expected a node below ${this.nodes.length}, got ${number}`)
    return node
  }

  wire(number: number): TcpProxy {
    return this.wires[number] as TcpProxy
  }

  /** The last one: what is done to one node is done to that. */
  get victim(): number {
    return this.#size - 1
  }

  /** What clients see of these nodes meanwhile is not what others have to see. */
  async afflicting(nodes: readonly number[], work: () => Promise<void>): Promise<void> {
    const from = systemClock.monotonic()
    const own = nodes.map((node) => ({ node, from, to: Number.POSITIVE_INFINITY }))
    this.#history.afflictions.push(...own)
    await work()
    for (const one of own) one.to = systemClock.monotonic()
  }

  /** Has `inflict` break something under load and repair it; tells what came of it. */
  async observe(inflict: (trial: Trial) => Promise<void>): Promise<Observation> {
    const history = new History()
    this.#history = history
    const clients = new Clients(this, history, await this.#newestValues())
    clients.start(this.#registers)
    let convergedMs: number
    try {
      const warm = until(() => this.#isWarm(history))
      await within(systemClock, settleLimitMs, warm, () => new Error('not all routes are served'))
      // What came before is about a cold cache, and about nothing that is to happen here.
      history.answers.length = 0
      await systemClock.sleep(calmMs)
      await inflict(this)
      convergedMs = await this.#settle()
      await systemClock.sleep(calmMs)
    } finally {
      await clients.stop()
    }
    const committed = await this.#committed()
    const last = await this.#lastAnswers(committed)
    return { ...judge(history, committed, last), ...countsOf(history), convergedMs }
  }

  /** Whether all cached routes are cached, on all nodes. */
  #isWarm({ answers }: History): boolean {
    const served = answers.filter(({ status }) => status === 200)
    return [...this.nodes.keys()].every((node) =>
      cachedRoutes.every((route) => served.some((one) => one.node === node && one.register === route)),
    )
  }

  numberOf(name: string): number | undefined {
    for (const [number, { output }] of this.nodes.entries()) {
      for (const [, found] of output.matchAll(/"name":"([^"]+)"[^\n]*"msg":"registered"/g)) {
        this.#numbers.set(found as string, number)
      }
    }
    return this.#numbers.get(name)
  }

  /** Changes something without any node's help: by SQL. */
  async changeBySql(): Promise<void> {
    await this.database.query(
      `update apis set upstream_url = regexp_replace(upstream_url, '[^/]*$', $1) where name = 'sql'`,
      [`sql-${++this.#wishes}`],
    )
  }

  async #prepare(): Promise<void> {
    const { apart, ownClock, serverDisk } = this.#options
    const kept = <T extends { remove(): unknown }>(one: T): T => {
      this.#releases.push(() => one.remove())
      return one
    }
    if (apart) {
      this.#network = kept(await NodeNetwork.make(this.#size))
      this.#upstreamDoor = await TcpProxy.to('127.0.0.1', this.upstream.port, this.#here)
      this.#releases.push(() => this.#upstreamDoor?.stop())
    }
    if (ownClock) this.#clock = kept(await ClockShift.make())
    if (serverDisk) {
      await this.server.stop()
      this.#serverDisk = kept(await Disk.under(join(this.server.dir, 'data'), serverDisk))
      // Its files are out of reach once the disk is gone.
      this.#releases.push(() => this.server.stop())
      await this.server.start()
    }
  }

  async #populate(): Promise<void> {
    for (let number = 0; number < this.#size; number++) await this.#addNode(number)
    const [one] = this.nodes as [NodeProcess]
    const add = async (path: string, body: JsonObject) => {
      const { status, text } = await one.ask('POST', path, body)
      if (status !== 201) throw new Error(`POST ${path}: ${status} ${text}`)
    }
    for (const name of ['open', 'guarded', 'rotated', 'sql', 'probe']) {
      await add('/apis', { name, request_path: `/${name}`, upstream_url: `${this.#upstreamUrl}/${name}-0` })
    }
    for (const name of ['guarded', 'rotated']) await add(`/apis/${name}/plugins`, { name: 'key-auth' })
    for (const [username, key] of Object.entries(firstKeys)) {
      await add('/consumers', { username })
      await add(`/consumers/${username}/key-auth`, { key })
    }
    const [rotating] = await this.database.query(`select id from keyauth_credentials where key = $1`, [
      firstKeys.rotating,
    ])
    this.#registers = registersOn(this.#upstreamUrl, rotating.id)
    await this.#settle()
  }

  async #addNode(number: number): Promise<void> {
    const { relayed, cluster, plugin, nodeDisk } = this.#options
    const { server, database, victim } = this
    const { user, password, database: name } = database
    const address = { user, password, database: name }
    const wire = await TcpProxy.to(server.host, server.port, this.#here)
    wire.onRequest = (data, connection) => {
      if (data.includes('LISTEN')) this.listening.push(connection)
    }
    this.wires.push(wire)
    this.#releases.push(() => wire.stop())
    const at = this.#network?.addressOf(number) ?? '127.0.0.1'
    const port = Promise.withResolvers<number>()
    const advertise = relayed ? await this.#relayTo(port.promise) : undefined
    const listen = Object.fromEntries(listeners.map((name) => [name, `${at}:0`]))
    const node = await NodeProcess.prepare(
      { ...database, host: this.#here, port: wire.port },
      {
        ...modest,
        ...listen,
        ...(this.#network && { admin_api_insecure: true }),
        // With the time limits of a node that nobody has tuned.
        postgres: { ...address, host: this.#here, port: wire.port },
        ...(plugin !== undefined && { custom_plugins: ['./plugin.mjs'] }),
        cluster: { ...cluster, ...(advertise && { advertise }) },
      },
    )
    this.nodes.push(node)
    this.#releases.push(() => node.remove())
    node.how = {
      ...(this.#network && { through: this.#network.through(number) }),
      ...(this.#clock && number === victim && { env: this.#clock.env }),
    }
    if (plugin !== undefined) await writeFile(join(node.dir, 'plugin.mjs'), plugin)
    if (nodeDisk !== undefined && number === victim) {
      const disk = await Disk.under(join(node.dir, 'work'), nodeDisk)
      this.#nodeDisk = disk
      this.#releases.push(() => disk.remove())
    }
    await node.launch()
    port.resolve(Number(node.clusterAddress.split(':')[1]))
  }

  async #relayTo(port: Promise<number>): Promise<string> {
    const relay = await TcpProxy.to('127.0.0.1', port)
    this.relays.push(relay)
    this.#releases.push(() => relay.stop())
    return `127.0.0.1:${relay.port}`
  }

  get #here(): string {
    return this.#network?.here ?? '127.0.0.1'
  }

  get #upstreamUrl(): string {
    return `http://${this.#here}:${(this.#upstreamDoor ?? this.upstream).port}`
  }

  /** Waits until the cluster is whole; how long it took. */
  async #settle(): Promise<number> {
    const from = systemClock.monotonic()
    const settled = async () => {
      for (const node of this.nodes) {
        while (!(await this.#isWhole(node))) {
          if (systemClock.monotonic() - from > settleLimitMs) throw new Error('the cluster does not settle')
          await systemClock.sleep(20)
        }
      }
    }
    await within(systemClock, settleLimitMs + 10_000, settled(), () => new Error('a node does not answer'))
    return systemClock.monotonic() - from
  }

  async #isWhole(node: NodeProcess): Promise<boolean> {
    try {
      const all = `${this.#size}/${this.#size}`
      const { body } = await node.ask('GET', '/cluster?status=alive')
      if (body?.total !== this.#size) return false
      const upstream_url = `${this.#upstreamUrl}/probe-${++this.#wishes}`
      const written = await node.ask('PATCH', '/apis/probe', { upstream_url })
      return written.headers.get('x-troop-applied') === all
    } catch {
      return false
    }
  }

  async #newestValues(): Promise<Map<string, readonly [string, string]>> {
    const committed = await this.#committed()
    return new Map(
      this.#registers.map(({ name }) => {
        const values = committed.filter(({ register }) => register === name).map(({ value }) => value)
        const newest = values.at(-1) as string
        return [name, [newest, values.at(-2) ?? newest]]
      }),
    )
  }

  /** All values of all registers, as the log has them. */
  async #committed(): Promise<Committed[]> {
    return committedOf(await this.database.query(`select position, body from events order by position`))
  }

  /** What every node shows of every register, once nothing changes any more. */
  async #lastAnswers(committed: readonly Committed[]): Promise<Answer[]> {
    const values = new Map(committed.map(({ register, value }) => [register, value]))
    const clients = new Clients(this, new History(), new Map())
    const last: Answer[] = []
    for (const register of this.#registers) {
      const newest = values.get(register.name) as string
      for (const node of this.nodes.keys()) last.push(await clients.answer(register, node, newest, newest))
    }
    await clients.stop()
    return last
  }
}

const listeners = ['proxy_listen', 'proxy_listen_ssl', 'admin_api_listen', 'cluster_listen']
