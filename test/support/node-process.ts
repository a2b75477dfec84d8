// A real node in a process of its own, started as a person would, on ports that the system chooses.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { JsonObject } from '../../src/base/json.ts'
import { root } from './sources.ts'

/** Where a datastore is; a TestDatabase fits. */
export interface DatastoreAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly body: any
}

/** How its process is made, where that is not as usual. */
export interface Launch {
  /** Words before its own, of a program that becomes it. */
  readonly through?: readonly string[]
  /** Variables over those of the tests. */
  readonly env?: Readonly<Record<string, string>>
}

const anyPort = '127.0.0.1:0'
const endings: ReadonlySet<NodeJS.Signals> = new Set(['SIGTERM', 'SIGQUIT', 'SIGKILL'])

export class NodeProcess {
  readonly dir: string
  readonly configPath: string
  /** For its next launch. */
  how: Launch = {}
  readonly #settings: JsonObject
  #child: ChildProcess | undefined
  #output = ''
  /** Whether it was told to end, since it was launched. */
  #isEnding = false
  /** By the name of the setting, as the node reports them. */
  #listeners: Record<string, string> = {}

  private constructor(dir: string, settings: JsonObject) {
    this.dir = dir
    this.configPath = join(dir, 'troop.yml')
    this.#settings = settings
  }

  /**
   * Starts a node on `datastore`; resolves once it serves. It has one worker: a second one costs half of what the node
   * costs to start, so those that are about threads say `workers: 2`.
   */
  static async start(datastore: DatastoreAddress, settings: JsonObject = {}): Promise<NodeProcess> {
    const node = await NodeProcess.prepare(datastore, settings)
    try {
      await node.launch()
      return node
    } catch (error) {
      await node.remove()
      throw error
    }
  }

  /** One that is yet to be launched. */
  static async prepare(datastore: DatastoreAddress, settings: JsonObject = {}): Promise<NodeProcess> {
    const dir = await mkdtemp(join(tmpdir(), 'troop-node-'))
    const { host, port, user, password, database } = datastore
    const node = new NodeProcess(dir, {
      working_dir: join(dir, 'work'),
      workers: 1,
      proxy_listen: anyPort,
      proxy_listen_ssl: anyPort,
      admin_api_listen: anyPort,
      cluster_listen: anyPort,
      cluster_listen_rpc: anyPort,
      postgres: { host, port, user, password, database, connect_timeout: '1s', query_timeout: '2s' },
      ...settings,
    })
    await node.configure({})
    return node
  }

  get proxy(): string {
    return `http://${this.#listeners.proxy_listen}`
  }

  /** Where it takes TLS. */
  get tlsPort(): number {
    return Number(this.#listeners.proxy_listen_ssl?.split(':').at(-1))
  }

  /** Where its Admin API takes HTTPS. */
  get adminTlsPort(): number {
    return Number(this.#listeners.admin_api_ssl_listen?.split(':').at(-1))
  }

  get admin(): string {
    return `http://${this.#listeners.admin_api_listen}`
  }

  /** Where it listens for other nodes, `host:port`. */
  get clusterAddress(): string {
    return this.#listeners.cluster_listen as string
  }

  get pid(): number {
    return this.#child?.pid as number
  }

  /** Everything that it printed since it was launched. */
  get output(): string {
    return this.#output
  }

  /** Writes the configuration file anew. */
  async configure(settings: JsonObject): Promise<void> {
    await writeFile(this.configPath, stringify({ ...this.#settings, ...settings }))
  }

  /** @param openFilesMax  the limit of open files that it gets; default: the one of the tests */
  async launch(openFilesMax?: number): Promise<void> {
    const args = [join(root, 'src', 'bin.ts'), 'start', '--foreground', '-c', this.configPath]
    const limited =
      openFilesMax === undefined ? [] : ['sh', '-c', `ulimit -n ${openFilesMax}; exec "$@"`, 'sh']
    const [program = '', ...words] = [...limited, ...(this.how.through ?? []), process.execPath, ...args]
    const env = { ...process.env, ...this.how.env }
    const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    this.#output = ''
    this.#isEnding = false
    const started = new Promise<void>((resolve, reject) => {
      const hear = (chunk: string) => {
        this.#output += chunk
        if (/\[OK\] +Started/.test(this.#output)) resolve()
      }
      child.stdout.setEncoding('utf8').on('data', hear)
      child.stderr.setEncoding('utf8').on('data', hear)
      child.once('exit', (code) => reject(new Error(`the node ended with ${code}:\n${this.#output}`)))
    })
    await started
    for (const [, setting, address] of this.#output.matchAll(/(\w+?)\.*((?:\d+\.){3}\d+:\d+)$/gm)) {
      this.#listeners[setting as string] = address as string
    }
  }

  /**
   * Sees to it that it runs, whatever was done to it: one that was stopped goes on, and one that has ended, or has not
   * ended yet though it was told to, is launched anew. For tests that share a node, and do not all leave it running.
   */
  async revive(): Promise<void> {
    if (this.#runs && !this.#isEnding) return this.signal('SIGCONT')
    await this.#kill()
    await this.launch()
  }

  /** A request to the Admin API; an object is sent as JSON. */
  async ask(
    method: string,
    path: string,
    body?: JsonObject,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const init = body
      ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } }
      : { headers }
    return answerOf(await fetch(`${this.admin}${path}`, { method, ...init }))
  }

  /** A request through the proxy. */
  async call(path: string, init?: RequestInit): Promise<Answer> {
    return answerOf(await fetch(`${this.proxy}${path}`, init))
  }

  /** Waits for a line of its log, in what it has printed from the character `from` on. */
  async logged(pattern: RegExp, from = 0): Promise<void> {
    const stdout = this.#child?.stdout as NodeJS.ReadableStream
    while (!pattern.test(this.#output.slice(from))) await once(stdout, 'data')
  }

  signal(signal: NodeJS.Signals): void {
    if (endings.has(signal)) this.#isEnding = true
    this.#child?.kill(signal)
  }

  /** Resolves with its exit code once it has ended. */
  async ended(): Promise<number | null> {
    const child = this.#child as ChildProcess
    if (this.#runs) await once(child, 'exit')
    return child.exitCode
  }

  /** Ends it, if it runs, and removes its directory. */
  async remove(): Promise<void> {
    await this.#kill()
    await rm(this.dir, { recursive: true, force: true })
  }

  async #kill(): Promise<void> {
    this.signal('SIGCONT')
    this.signal('SIGKILL')
    if (this.#runs) await this.ended()
  }

  get #runs(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== '' ? JSON.parse(text) : undefined,
  }
}
