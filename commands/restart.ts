import { Flags } from '@oclif/core'
import { systemClock } from '../src/base/clock.ts'
import { launch, startTimeoutMs } from './launch.ts'
import { quitTimeoutMs, RunningNode, stopTimeoutMs } from './running-node.ts'
import { timeoutFlag } from './timeout-flag.ts'
import { configFlag, TroopCommand } from './troop-command.ts'

export class Restart extends TroopCommand {
  static override summary = 'Stop the node if it runs, and start it in the background.'
  static override flags = {
    config: configFlag,
    graceful: Flags.boolean({ description: 'let open requests finish first, as quit does' }),
    timeout: timeoutFlag('how long starting may take', startTimeoutMs),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Restart)
    // Read first: a configuration with faults must not cost the node that runs.
    const loaded = await this.loadConfiguration(flags.config)
    this.printNotices(loaded)
    const { config, path } = loaded
    const node = await RunningNode.find(config)
    if (node) {
      const how = flags.graceful ? 'quit' : 'stop'
      await node.end(how, flags.graceful ? quitTimeoutMs : stopTimeoutMs, this.printer)
      this.printer.line('ok', 'Stopped')
    }
    try {
      const { workingDir } = config
      const timeoutMs = flags.timeout
      await launch({ configPath: path, workingDir, timeoutMs, printer: this.printer, clock: systemClock })
      this.printer.line('ok', 'Started')
    } catch (error) {
      this.printError(error)
      process.exitCode = 1
      this.printer.line('error', 'Could not start Troop')
    }
  }
}
