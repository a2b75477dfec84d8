import { Flags } from '@oclif/core'
import type { KnownMember } from '../../src/control/control.ts'
import { RunningNode } from '../running-node.ts'
import { configFlag, jsonFlag, TroopCommand } from '../troop-command.ts'

export class ClusterMembers extends TroopCommand {
  static override summary = 'List the members of the cluster, as the node of this machine knows them.'
  static override flags = {
    config: configFlag,
    json: jsonFlag,
    status: Flags.string({
      description: 'only members in this state',
      options: ['alive', 'active', 'leaving', 'left', 'failed'],
    }),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(ClusterMembers)
    this.printToStderr()
    const { config } = await this.loadConfiguration(flags.config)
    const node = await RunningNode.get(config)
    const wanted = flags.status === 'active' ? 'alive' : flags.status
    const all = await node.ask((client) => client.members())
    const members = all.filter(({ status }) => wanted === undefined || status === wanted)
    if (flags.json) this.printJson(members)
    else process.stdout.write(table(members))
  }
}

/** A line each, columns aligned by blanks. */
function table(members: readonly KnownMember[]): string {
  const lines = members.map(({ name, address, status }) => [name, address, status])
  const widths = [0, 1].map((column) => Math.max(0, ...lines.map((line) => line[column]?.length ?? 0)))
  const padded = lines.map((line) => line.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  '))
  return padded.map((line) => `${line}\n`).join('')
}
