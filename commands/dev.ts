import { TroopCommand } from './troop-command.ts'

export class Dev extends TroopCommand {
  static override summary = 'Run a gateway to try things on: in the foreground, with an upstream beside it.'
  static override description =
    'Uses the usual ports, or free ones where they are taken, and keeps its data in ~/.troop. Ctrl-C stops everything.'

  override async run(): Promise<void> {
    await this.parse(Dev)
    const { runDev } = await import('../src/dev/dev.ts')
    await runDev({ print: (line) => this.printer.plain(line), env: process.env })
  }
}
