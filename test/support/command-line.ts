// `troop` as a person runs it: a process of its own, on a configuration in a directory of its own.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { JsonObject } from '../../src/base/json.ts'
import type { DatastoreAddress } from './node-process.ts'
import { root } from './sources.ts'

export interface Ran {
  /** The exit code. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const anyPort = '127.0.0.1:0'

export class CommandLine {
  readonly dir: string
  readonly configPath: string
  readonly workingDir: string
  readonly #settings: JsonObject

  private constructor(dir: string, { host, port, user, password, database }: DatastoreAddress) {
    this.dir = dir
    this.configPath = join(dir, 'troop.yml')
    this.workingDir = join(dir, 'work')
    this.#settings = {
      working_dir: this.workingDir,
      workers: 1,
      proxy_listen: anyPort,
      proxy_listen_ssl: anyPort,
      admin_api_listen: anyPort,
      cluster_listen_rpc: anyPort,
      postgres: { host, port, user, password, database },
    }
  }

  static async on(datastore: DatastoreAddress): Promise<CommandLine> {
    const line = new CommandLine(await mkdtemp(join(tmpdir(), 'troop-cli-')), datastore)
    await line.configure({})
    return line
  }

  /** Writes the configuration file anew. */
  async configure(settings: JsonObject): Promise<void> {
    await writeFile(this.configPath, stringify({ ...this.#settings, ...settings }))
  }

  /** Runs `troop` with these words; `input` is what it reads, and then ends. */
  run(words: readonly string[], input = ''): Promise<Ran> {
    const { PATH, NODE_COMPILE_CACHE } = process.env
    const env = { PATH, HOME: this.dir, NO_COLOR: '1', ...(NODE_COMPILE_CACHE && { NODE_COMPILE_CACHE }) }
    const child = spawn(process.execPath, [join(root, 'src', 'bin.ts'), ...words], { env })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    child.stdin.on('error', () => undefined).end(input)
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    })
  }

  /** Runs a command on this configuration. */
  troop(...words: readonly string[]): Promise<Ran> {
    return this.run([...words, '-c', this.configPath])
  }

  /** What `status --json` prints. */
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  async status(): Promise<any> {
    return JSON.parse((await this.troop('status', '--json')).stdout)
  }

  async pid(): Promise<number> {
    return Number(await readFile(join(this.workingDir, 'troop.pid'), 'utf8'))
  }

  /** Ends the node, if one runs, and removes the directory. */
  async remove(): Promise<void> {
    await this.configure({})
    await this.troop('stop', '--timeout', '5s')
    await rm(this.dir, { recursive: true, force: true })
  }
}
