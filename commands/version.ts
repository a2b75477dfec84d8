import { TroopCommand } from './troop-command.ts'

export class Version extends TroopCommand {
  static override summary = 'Print the version.'

  override async run(): Promise<void> {
    await this.parse(Version)
    this.printer.plain(`troop version: ${this.config.version}`)
  }
}
