// One node of the local cluster: a process of its own, as in production. Whoever ends it may start it again, from here
// or from another terminal.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock, within } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { connectControl, type Reloaded } from '../control/control.ts'
import { prepareWorkingDir, runningPid, type WorkingDir, workingDirAt } from '../node/working-dir.ts'
import { shellWord } from './shell.ts'

export interface LocalNodeOptions {
  /** 1, 2, 3 … */
  readonly number: number
  readonly workingDir: string
  /** Listeners by the environment variable that sets them. */
  readonly listeners: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What `troop start --launched` says to whoever launched it. */
type Said = { readonly kind: string; readonly message?: string }

/** Grace for open requests, and a checkpoint of the embedded server. One that was paused does not hear of it at all. */
const stopLimitMs = 15_000
/** How often the process table is looked at while a node ends that another process has started. */
const pollMs = 50

export class LocalNode {
  readonly number: number
  readonly proxy: string
  readonly admin: string
  readonly dir: WorkingDir
  /** A shell that reads this file speaks to the node, or starts it. */
  readonly settingsFile: string
  readonly #env: Readonly<Record<string, string | undefined>>
  #child: ChildProcess | undefined
  #childEnded: Promise<unknown> = Promise.resolve()
  #isStarting = false
  #isStopping = false
  /** Since then it is this cluster's, whoever starts it again. */
  #hasServed = false

  constructor({ number, workingDir, listeners, env }: LocalNodeOptions) {
    this.number = number
    this.proxy = `http://${listeners.TROOP_PROXY_LISTEN}`
    this.admin = `http://${listeners.TROOP_ADMIN_API_LISTEN}`
    this.dir = workingDirAt(workingDir)
    this.settingsFile = join(workingDir, 'settings.sh')
    this.#env = { ...env, ...listeners, TROOP_WORKING_DIR: workingDir }
  }

  /** Whether `start` is at it. */
  get isStarting(): boolean {
    return this.#isStarting
  }

  /** Starts it; resolves once it serves. @throws with its own words when it ends before that, or where one runs already */
  async start(): Promise<void> {
    this.#isStarting = true
    try {
      const pid = await this.pid()
      if (pid !== undefined) {
        const remedy =
          'stop the cluster that it is of (Ctrl-C where that runs), or give this one another HOME'
        throw new Error(`node ${this.number} runs already, in process ${pid}: ${remedy}`)
      }
      await prepareWorkingDir(this.dir.path, systemRandom)
      // Secrets may be among them.
      await writeFile(this.settingsFile, settingsScript(this.#env), { mode: 0o600 })
      if (this.#isStopping) throw new Error(`node ${this.number} is being stopped`)
      await this.#launch()
      this.#hasServed = true
    } finally {
      this.#isStarting = false
    }
  }

  async #launch(): Promise<void> {
    const args = [process.argv[1] as string, 'start', '--foreground', '--launched']
    const child = spawn(process.execPath, [...process.execArgv, ...args], {
      env: this.#env,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    const ended = once(child, 'exit').catch(() => undefined)
    this.#child = child
    this.#childEnded = ended
    await new Promise<void>((resolve, reject) => {
      child.on('message', ({ kind, message }: Said) => {
        if (kind === 'serving') resolve()
        if (kind === 'failed') reject(new Error(`node ${this.number}: ${message}`))
      })
      void ended.then(() =>
        reject(new Error(`node ${this.number} ended before it served: read ${this.dir.logFile}`)),
      )
    })
    if (child.connected) child.disconnect()
  }

  /** Of its process, whoever started it; undefined when none runs. */
  pid(): Promise<number | undefined> {
    return runningPid(this.dir.pidFile)
  }

  /** As the cluster knows it; undefined before it first registered. */
  async name(): Promise<string | undefined> {
    const text = await readFile(this.dir.nameFile, 'utf8').catch((error) => {
      if (codeOf(error) === 'ENOENT') return ''
      throw error
    })
    return text.trim() || undefined
  }

  /**
   * Has it take configuration and plugins anew.
   * @throws {ControlAway} when it does not run; what it says when it refuses
   */
  async reload(): Promise<Reloaded> {
    const control = await connectControl(this.dir.controlFile, systemClock)
    try {
      return await control.reload()
    } finally {
      await control.close()
    }
  }

  /** Stops it for good; resolves once it has ended, as it does by itself when it was killed. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#child?.kill('SIGTERM')
    const late = () => new Error('it does not stop')
    await within(systemClock, stopLimitMs, this.#childEnded, late).catch(() => this.#child?.kill('SIGKILL'))
    await this.#childEnded
    if (this.#hasServed) await this.#stopForeign()
  }

  /** One that was started from another terminal. */
  async #stopForeign(): Promise<void> {
    const deadline = systemClock.monotonic() + stopLimitMs
    const pid = await this.pid()
    if (pid === undefined) return
    signal(pid, 'SIGTERM')
    while ((await this.pid()) === pid) {
      if (systemClock.monotonic() > deadline) signal(pid, 'SIGKILL')
      await systemClock.sleep(pollMs)
    }
  }
}

/** It may have ended by itself a moment ago. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error
  }
}

/** Text for a POSIX shell that sets the same. */
function settingsScript(env: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith('TROOP_') && value !== undefined)
    .map(([name, value = '']) => `export ${name}=${shellWord(value)}\n`)
    .join('')
}
