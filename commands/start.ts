import { Flags } from '@oclif/core'
import { systemClock } from '../src/base/clock.ts'
import { describeError, TroopError } from '../src/base/errors.ts'
import type { LoadedConfig } from '../src/config/config.ts'
import type { RunningNode as StartedNode } from '../src/node/node.ts'
import { launch, startTimeoutMs, tellLauncher } from './launch.ts'
import { RunningNode } from './running-node.ts'
import { timeoutFlag } from './timeout-flag.ts'
import { configFlag, TroopCommand } from './troop-command.ts'

export class Start extends TroopCommand {
  static override summary = 'Start a node; returns once it serves.'
  static override description =
    'In the background it logs to logs/troop.log in the working directory. In the foreground it logs to standard output and stops on SIGTERM or SIGINT; SIGQUIT lets open requests finish, SIGHUP reloads.'
  static override flags = {
    config: configFlag,
    foreground: Flags.boolean({ description: 'stay in the foreground, for containers and supervisors' }),
    timeout: timeoutFlag('how long it may take in the background until it serves', startTimeoutMs),
    // Set by the launching process: progress and the end of it go there instead of to a terminal.
    launched: Flags.boolean({ hidden: true }),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Start)
    if (flags.launched) return this.#runLaunched(flags.config)
    if (flags.foreground) this.printToStderr()
    this.printer.line('info', `troop ${this.config.version}`)
    const loaded = await this.loadConfiguration(flags.config)
    this.printNotices(loaded)
    if (await RunningNode.find(loaded.config)) return this.#refuse('Troop is currently running')
    try {
      if (flags.foreground) await this.#runInForeground(loaded)
      else await this.#launch(loaded, flags.timeout)
    } catch (error) {
      this.printError(error)
      this.#refuse('Could not start Troop')
    }
  }

  async #runInForeground({ config, path }: LoadedConfig): Promise<void> {
    const { startNode } = await import('../src/node/node.ts')
    const report = (line: string) => this.printer.line('info', line)
    const node = await startNode({ config, configPath: path, report, foreground: true })
    this.printer.line('ok', 'Started')
    await ended(node)
  }

  async #launch({ config, path }: LoadedConfig, timeoutMs: number): Promise<void> {
    const { workingDir } = config
    await launch({ configPath: path, workingDir, timeoutMs, printer: this.printer, clock: systemClock })
    this.printer.line('ok', 'Started')
  }

  /** The process in the background. */
  async #runLaunched(configPath: string | undefined): Promise<void> {
    try {
      const { config, path } = await this.loadConfiguration(configPath)
      const { startNode } = await import('../src/node/node.ts')
      const report = (line: string) => void tellLauncher({ kind: 'progress', line })
      const node = await startNode({ config, configPath: path, report, foreground: false })
      await tellLauncher({ kind: 'serving' })
      if (process.connected) process.disconnect()
      await ended(node)
    } catch (error) {
      const hint = error instanceof TroopError ? error.hint : undefined
      await tellLauncher({ kind: 'failed', message: describeError(error), hint })
      throw error
    }
  }

  #refuse(why: string): void {
    process.exitCode = 1
    this.printer.line('error', why)
  }
}

/** A thread that hangs in a call of the system would keep the process, and a supervisor waiting, for as long as it does. */
async function ended(node: StartedNode): Promise<void> {
  await node.stopped
  if (node.isHeldUp) process.kill(process.pid, 'SIGKILL')
}
