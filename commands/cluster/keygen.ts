import { systemRandom } from '../../src/base/random.ts'
import { TroopCommand } from '../troop-command.ts'

/** As cluster.encrypt takes them. */
const keyBytes = 32

export class ClusterKeygen extends TroopCommand {
  static override summary = 'Print a new key for cluster.encrypt: 32 random bytes in base64.'

  override async run(): Promise<void> {
    await this.parse(ClusterKeygen)
    process.stdout.write(`${Buffer.from(systemRandom.hex(keyBytes), 'hex').toString('base64')}\n`)
  }
}
