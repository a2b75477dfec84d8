import { extname } from 'node:path'
import { Flags } from '@oclif/core'
import { devScreen } from './dev-screen.ts'
import { readKeys } from './keyboard.ts'
import { TroopCommand } from './troop-command.ts'

/** Each is a process with a Postgres pool of its own: more than this is a load test of the machine. */
const nodesMax = 20

export class Dev extends TroopCommand {
  static override summary = 'Run a cluster to try things on: in the foreground, with an upstream beside it.'
  static override description =
    'Uses the usual ports, or free ones where they are taken, and keeps its data in ~/.troop. Ctrl-C stops everything.'
  static override flags = {
    nodes: Flags.integer({ description: 'how many nodes', default: 3, min: 1, max: nodesMax }),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Dev)
    const { runDev } = await import('../src/dev/dev.ts')
    const { stdin, stdout } = process
    // Of one that is gone: the nodes are to be stopped all the same.
    stdout.removeAllListeners('error').on('error', () => undefined)
    const isCheckout = extname(import.meta.filename) === '.ts'
    await runDev({
      nodes: flags.nodes,
      screen: devScreen(stdout),
      keys: stdin.isTTY && stdout.isTTY ? (pressed) => readKeys(stdin, pressed) : undefined,
      env: process.env,
      troop: isCheckout ? 'npm run -s troop --' : 'troop',
      directory: isCheckout ? this.config.root : undefined,
    })
  }
}
