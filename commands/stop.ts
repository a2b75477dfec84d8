import { RunningNode, stopTimeoutMs } from './running-node.ts'
import { timeoutFlag } from './timeout-flag.ts'
import { configFlag, TroopCommand } from './troop-command.ts'

export class Stop extends TroopCommand {
  static override summary = 'Stop the node, cutting requests that are open.'
  static override flags = {
    config: configFlag,
    timeout: timeoutFlag('how long it may take before it is killed', stopTimeoutMs),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Stop)
    const { config } = await this.loadConfiguration(flags.config)
    const node = await RunningNode.get(config)
    await node.end('stop', flags.timeout, this.printer)
    this.printer.line('ok', 'Stopped')
  }
}
