// One node of the local cluster: a process of its own, as in production.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { systemClock, within } from '../base/clock.ts'

export interface NodeChildOptions {
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

export class NodeChild {
  readonly number: number
  readonly proxy: string
  readonly admin: string
  readonly logFile: string
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>

  constructor({ number, workingDir, listeners, env }: NodeChildOptions) {
    this.number = number
    this.proxy = `http://${listeners.TROOP_PROXY_LISTEN}`
    this.admin = `http://${listeners.TROOP_ADMIN_API_LISTEN}`
    this.logFile = join(workingDir, 'logs', 'troop.log')
    const args = [process.argv[1] as string, 'start', '--foreground', '--launched']
    this.#child = spawn(process.execPath, [...process.execArgv, ...args], {
      env: { ...process.env, ...env, ...listeners, TROOP_WORKING_DIR: workingDir },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    this.#ended = once(this.#child, 'exit').catch(() => undefined)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Resolves once it serves. @throws with its own words when it ends before that */
  async serving(): Promise<void> {
    const served = new Promise<void>((resolve, reject) => {
      this.#child.on('message', ({ kind, message }: Said) => {
        if (kind === 'serving') resolve()
        if (kind === 'failed') reject(new Error(`node ${this.number}: ${message}`))
      })
      void this.#ended.then(() =>
        reject(new Error(`node ${this.number} ended before it served: read ${this.logFile}`)),
      )
    })
    await served
    if (this.#child.connected) this.#child.disconnect()
  }

  /** Tells it to stop; resolves once it has ended, as it does by itself when it was killed. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await within(systemClock, stopLimitMs, this.#ended, () => new Error('it does not stop')).catch(() => {
      this.#child.kill('SIGKILL')
    })
    await this.#ended
  }
}
