// The node that runs in a working directory, as commands reach it: by its control, or by signals if it is stuck.
import { type Clock, systemClock } from '../src/base/clock.ts'
import { codeOf, describeError } from '../src/base/errors.ts'
import type { Config } from '../src/config/config.ts'
import { type ControlClient, connectControl } from '../src/control/control.ts'
import { runningPid, type WorkingDir, workingDirAt } from '../src/node/working-dir.ts'
import { NotRunning, WouldNotStop } from './errors.ts'
import type { Printer } from './printer.ts'

/** How often the process table is looked at while a node ends. */
const pollMs = 50
/** After it was killed, what is left is the system's work. */
const killedLimitMs = 5000

export class RunningNode {
  readonly pid: number
  readonly #dir: WorkingDir
  readonly #clock: Clock

  private constructor(pid: number, dir: WorkingDir, clock: Clock) {
    this.pid = pid
    this.#dir = dir
    this.#clock = clock
  }

  /** The node of this configuration's working directory; undefined when none runs. */
  static async find(config: Config, clock: Clock = systemClock): Promise<RunningNode | undefined> {
    const dir = workingDirAt(config.workingDir)
    const pid = await runningPid(dir.pidFile)
    return pid === undefined ? undefined : new RunningNode(pid, dir, clock)
  }

  /** @throws {NotRunning} */
  static async get(config: Config): Promise<RunningNode> {
    const node = await RunningNode.find(config)
    if (!node) throw new NotRunning(config.workingDir)
    return node
  }

  /**
   * Asks the node something, on a connection of its own.
   * @throws {ControlAway} when it does not answer, {ControlRefused} when this user may not ask
   */
  async ask<T>(question: (client: ControlClient) => Promise<T>): Promise<T> {
    const client = await connectControl(this.#dir.controlFile, this.#clock)
    try {
      return await question(client)
    } finally {
      await client.close()
    }
  }

  /**
   * Ends the node and waits until its process is gone. `quit` lets open requests finish and becomes `stop` when
   * its time is up; `stop` becomes a kill.
   * @throws {WouldNotStop} when not even that ended it
   */
  async end(how: 'quit' | 'stop', timeoutMs: number, printer: Printer): Promise<void> {
    if (how === 'quit') {
      await this.#order('quit', printer)
      if (await this.#gone(timeoutMs)) return
      printer.line('warn', `requests are still open after ${timeoutMs / 1000} s: stopping`)
    }
    await this.#order('stop', printer)
    if (await this.#gone(how === 'stop' ? timeoutMs : stopTimeoutMs)) return
    printer.line('warn', `process ${this.pid} does not stop: killing it`)
    this.#signal('SIGKILL')
    if (!(await this.#gone(killedLimitMs))) throw new WouldNotStop(this.pid)
  }

  async #order(order: 'quit' | 'stop', printer: Printer): Promise<void> {
    try {
      await this.ask((client) => client[order]())
    } catch (error) {
      const signal = order === 'quit' ? 'SIGQUIT' : 'SIGTERM'
      if ((await runningPid(this.#dir.pidFile)) !== this.pid) return
      printer.line('warn', `the node does not take commands (${describeError(error)}): sending ${signal}`)
      this.#signal(signal)
    }
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(this.pid, signal)
    } catch (error) {
      // It ended by itself meanwhile.
      if (codeOf(error) !== 'ESRCH') throw error
    }
  }

  async #gone(limitMs: number): Promise<boolean> {
    const deadline = this.#clock.monotonic() + limitMs
    while ((await runningPid(this.#dir.pidFile)) === this.pid) {
      if (this.#clock.monotonic() > deadline) return false
      await this.#clock.sleep(pollMs)
    }
    return true
  }
}

/** Open requests get a short grace, connections are closed, an embedded server writes its checkpoint. */
export const stopTimeoutMs = 30_000
/** Long enough for a download or two; whoever wants more says so. */
export const quitTimeoutMs = 60_000
