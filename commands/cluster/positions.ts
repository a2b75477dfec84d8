import { RunningNode } from '../running-node.ts'
import { configFlag, jsonFlag, TroopCommand } from '../troop-command.ts'
import { positionLines } from './position-list.ts'

export class ClusterPositions extends TroopCommand {
  static override summary = 'Say how far every member has applied the log, and how fast changes came to it.'
  static override description =
    'Applied position, events not applied yet, when the member last was certain to miss nothing; then how long the newest change took from its commit, by the way on which it came: written there, pushed by the writer, notified or read from the datastore, asked of a peer.'
  static override flags = { config: configFlag, json: jsonFlag }

  override async run(): Promise<void> {
    const { flags } = await this.parse(ClusterPositions)
    this.printToStderr()
    const { config } = await this.loadConfiguration(flags.config)
    const node = await RunningNode.get(config)
    const positions = await node.ask((client) => client.positions())
    if (flags.json) this.printJson(positions)
    else this.printLines(positionLines(positions))
  }
}
