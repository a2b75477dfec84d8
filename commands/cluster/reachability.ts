import { RunningNode } from '../running-node.ts'
import { configFlag, jsonFlag, TroopCommand } from '../troop-command.ts'
import { brokenLinks, reachLines } from './reach-matrix.ts'

export class ClusterReachability extends TroopCommand {
  static override summary =
    'Make every node ask every other one for an answer; exit code 0 only if all get theirs.'
  static override description =
    'Asked are all nodes that are registered, or known here, and have not left. Shown are the round trips.'
  static override flags = { config: configFlag, json: jsonFlag }

  override async run(): Promise<void> {
    const { flags } = await this.parse(ClusterReachability)
    if (flags.json) this.printToStderr()
    const { config } = await this.loadConfiguration(flags.config)
    const node = await RunningNode.get(config)
    const reaches = await node.ask((client) => client.reachability())
    const broken = brokenLinks(reaches)
    process.exitCode = broken.length === 0 ? 0 : 1
    if (flags.json) return this.printJson(reaches)

    this.printLines(reachLines(reaches, this.output.paint))
    for (const { from, to, why } of broken) this.printer.line('error', `${from} does not reach ${to}: ${why}`)
    if (broken.length === 0) this.printer.line('ok', 'Every node reaches every other one')
  }
}
