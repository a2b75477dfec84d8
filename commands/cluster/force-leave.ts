import { Args, Flags } from '@oclif/core'
import { NodeUnknown } from '../errors.ts'
import { RunningNode } from '../running-node.ts'
import { configFlag, TroopCommand } from '../troop-command.ts'

export class ClusterForceLeave extends TroopCommand {
  static override summary =
    'Make a node leave the cluster for good; one that is there comes back with a new life.'
  static override args = {
    name: Args.string({ required: true, description: 'the name of the node, as listed by members' }),
  }
  static override flags = {
    config: configFlag,
    prune: Flags.boolean({ description: 'do not list it any more either', default: false }),
  }

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterForceLeave)
    const { config } = await this.loadConfiguration(flags.config)
    const node = await RunningNode.get(config)
    if (!(await node.ask((client) => client.forceLeave(args.name, flags.prune))))
      throw new NodeUnknown(args.name)
  }
}
