import { codeOf, describeError } from '../src/base/errors.ts'
import type { NodeStatus } from '../src/control/control.ts'
import { RunningNode } from './running-node.ts'
import { configFlag, jsonFlag, TroopCommand } from './troop-command.ts'

/** `degraded`: a process is there, but does not answer, does not serve yet, or is leaving. */
type State =
  | { state: 'running'; status: NodeStatus }
  | { state: 'degraded'; pid: number; reason: string; status?: NodeStatus }
  | { state: 'stopped' }

export class Status extends TroopCommand {
  static override summary = 'Say whether the node runs; exit code 0 only if it does.'
  static override flags = { config: configFlag, json: jsonFlag }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Status)
    if (flags.json) this.printToStderr()
    const { config } = await this.loadConfiguration(flags.config)
    const found = await stateOf(await RunningNode.find(config))
    process.exitCode = found.state === 'running' ? 0 : 1
    if (flags.json) this.printJson(found)
    else this.#print(found)
  }

  #print(found: State): void {
    if (found.state === 'stopped') {
      this.printer.line('error', 'Troop is not running')
    } else if (found.state === 'degraded') {
      this.printer.line('info', `process ${found.pid}: ${found.reason}`)
      const advice = 'Some services required by Troop are not running. Please execute "troop restart"!'
      this.printer.line('error', advice)
    } else {
      this.printer.line('info', 'Troop is running')
      for (const [name, value] of details(found.status)) {
        this.printer.plain(`       ${name.padEnd(18)} ${value}`)
      }
    }
  }
}

async function stateOf(node: RunningNode | undefined): Promise<State> {
  if (!node) return { state: 'stopped' }
  const { pid } = node
  let status: NodeStatus
  try {
    status = await node.ask((client) => client.status())
  } catch (error) {
    // It is there and healthy for all we know, but this user may not ask it.
    if (codeOf(error) === 'control-refused') throw error
    return { state: 'degraded', pid, reason: describeError(error) }
  }
  if (!status.ready) return { state: 'degraded', pid, reason: 'it does not serve', status }
  if (status.workers.running === 0) return { state: 'degraded', pid, reason: 'no worker runs', status }
  return { state: 'running', status }
}

function details(status: NodeStatus): [string, string][] {
  return [
    ['name', status.name],
    ['version', status.version],
    ['pid', String(status.pid)],
    ['up for', `${Math.round(status.uptimeMs / 1000)} s`],
    ['position', String(status.position ?? 'not loaded')],
    ['workers', workersInWords(status.workers)],
    ['datastore', `${status.datastore}${status.datastoreAnswers ? '' : ', does not answer'}`],
    ...Object.entries(status.listeners),
  ]
}

function workersInWords({ running, wanted, hanging = 0 }: NodeStatus['workers']): string {
  return `${running} of ${wanted}${hanging > 0 ? `, and ${hanging} that hang${hanging === 1 ? 's' : ''}` : ''}`
}
