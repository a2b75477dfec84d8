import { quitTimeoutMs, RunningNode } from './running-node.ts'
import { timeoutFlag } from './timeout-flag.ts'
import { configFlag, TroopCommand } from './troop-command.ts'

export class Quit extends TroopCommand {
  static override summary = 'Stop the node once the requests that are open have finished.'
  static override flags = {
    config: configFlag,
    timeout: timeoutFlag('how long they may take before they are cut', quitTimeoutMs),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Quit)
    const { config } = await this.loadConfiguration(flags.config)
    const node = await RunningNode.get(config)
    await node.end('quit', flags.timeout, this.printer)
    this.printer.line('ok', 'Stopped')
  }
}
