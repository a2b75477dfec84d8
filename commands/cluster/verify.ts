import { RunningNode } from '../running-node.ts'
import { timeoutFlag } from '../timeout-flag.ts'
import { configFlag, jsonFlag, TroopCommand } from '../troop-command.ts'
import { describeAudit, isRight } from './audit-words.ts'

/** A full cache takes seconds: it is compared in small steps, beside traffic. */
const verifyTimeoutMs = 60_000

export class ClusterVerify extends TroopCommand {
  static override summary =
    'Make every node hold what it serves against the datastore; exit code 0 only if all is right.'
  static override description =
    'Asked are all nodes that are registered, or known here, and have not left. What is wrong is repaired, and should be reported as a bug.'
  static override flags = {
    config: configFlag,
    json: jsonFlag,
    timeout: timeoutFlag('how long each node may take', verifyTimeoutMs),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(ClusterVerify)
    if (flags.json) this.printToStderr()
    const { config } = await this.loadConfiguration(flags.config)
    const node = await RunningNode.get(config)
    const audits = await node.ask((client) => client.verify(flags.timeout))
    process.exitCode = Object.values(audits).every(isRight) ? 0 : 1
    if (flags.json) return this.printJson(audits)
    for (const [name, answer] of Object.entries(audits)) {
      const { text, details } = describeAudit(answer)
      this.printer.line(isRight(answer) ? 'ok' : 'error', `${name}: ${text}`, details)
    }
  }
}
