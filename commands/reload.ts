import { RunningNode } from './running-node.ts'
import { configFlag, TroopCommand } from './troop-command.ts'

export class Reload extends TroopCommand {
  static override summary = 'Apply a changed configuration without closing a connection.'
  static override description =
    'A configuration with faults, or a plugin that does not load, is refused and the node goes on with what it has. The code of custom plugins that are files is read anew. Which settings a reload applies is in docs/configuration.md.'
  static override flags = { config: configFlag }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Reload)
    const loaded = await this.loadConfiguration(flags.config)
    this.printNotices(loaded)
    const { config } = loaded
    const node = await RunningNode.get(config)
    const { applied, restart, plugins = [] } = await node.ask((client) => client.reload())
    for (const name of applied) this.printer.line('info', `${name} changed`)
    for (const name of plugins) this.printer.line('info', `the code of ${name} changed`)
    for (const name of restart) this.printer.line('warn', `${name} changed: it takes effect on a restart`)
    this.printer.line('ok', 'Reloaded')
  }
}
