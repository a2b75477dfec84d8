import { Flags } from '@oclif/core'
import { systemClock } from '../../src/base/clock.ts'
import type { ControlClient, MemberPosition } from '../../src/control/control.ts'
import { untilInterrupted } from '../interrupt.ts'
import { LiveLines } from '../live-lines.ts'
import { RunningNode } from '../running-node.ts'
import { configFlag, jsonFlag, TroopCommand } from '../troop-command.ts'
import { MemberNews, memberLines } from './member-list.ts'

/** How often `--watch` looks. */
const watchIntervalMs = 1000

export class ClusterMembers extends TroopCommand {
  static override summary = 'List the members of the cluster, as the node of this machine knows them.'
  static override description =
    'Name, address, status, applied position, events not applied yet, last heartbeat. Without a terminal there is no heading, and --watch prints a line when a status or an address changes.'
  static override flags = {
    config: configFlag,
    json: jsonFlag,
    status: Flags.string({
      description: 'only members in this state',
      options: ['alive', 'active', 'leaving', 'left', 'failed'],
    }),
    watch: Flags.boolean({ description: 'go on until Ctrl-C', exclusive: ['json'] }),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(ClusterMembers)
    this.printToStderr()
    const { config } = await this.loadConfiguration(flags.config)
    const node = await RunningNode.get(config)
    const wanted = flags.status === 'active' ? 'alive' : flags.status
    if (flags.watch) {
      await node.ask((client) => untilInterrupted((signal) => this.#watch(client, wanted, signal)))
      // What the terminal shows of Ctrl-C stands on the last line.
      if (process.stdout.isTTY) this.output.plain('')
      return
    }
    const { members } = await node.ask((client) => client.positions())
    const listed = inState(members, wanted)
    if (flags.json) this.printJson(listed)
    else this.printLines(this.#lines(listed))
  }

  async #watch(client: ControlClient, wanted: string | undefined, signal: AbortSignal): Promise<void> {
    const live = new LiveLines(process.stdout)
    const news = new MemberNews()
    while (!signal.aborted) {
      const { members } = await client.positions()
      if (process.stdout.isTTY) live.show(this.#lines(inState(members, wanted)))
      else this.printLines(this.#lines(news.of(members, wanted)))
      await systemClock.sleep(watchIntervalMs, signal)
    }
  }

  #lines(members: readonly MemberPosition[]): string[] {
    return memberLines(members, { heading: process.stdout.isTTY, paint: this.output.paint })
  }
}

function inState(members: readonly MemberPosition[], wanted: string | undefined): readonly MemberPosition[] {
  return members.filter(({ status }) => wanted === undefined || status === wanted)
}
