import { configFlag, TroopCommand } from '../troop-command.ts'

export class MigrationsUp extends TroopCommand {
  static override summary = 'Run the migrations that have not run; start does the same.'
  static override flags = { config: configFlag }

  override async run(): Promise<void> {
    const { flags } = await this.parse(MigrationsUp)
    const loaded = await this.loadConfiguration(flags.config)
    const { withSchema } = await import('./schema.ts')
    await withSchema(loaded, (schema) => schema.migrate((line) => this.printer.line('info', line)))
    this.printer.line('ok', 'Schema up to date')
  }
}
