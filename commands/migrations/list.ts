import { configFlag, jsonFlag, TroopCommand } from '../troop-command.ts'

export class MigrationsList extends TroopCommand {
  static override summary = 'List the migrations that have run, and those that are to run.'
  static override flags = { config: configFlag, json: jsonFlag }

  override async run(): Promise<void> {
    const { flags } = await this.parse(MigrationsList)
    if (flags.json) this.printToStderr()
    const loaded = await this.loadConfiguration(flags.config)
    const { withSchema } = await import('./schema.ts')
    const { modules, where } = await withSchema(loaded, async (schema) => ({
      modules: await schema.list(),
      where: schema.description,
    }))
    if (flags.json) return this.printJson(modules)

    const executed = modules.filter((module) => module.executed.length > 0)
    const heading = executed.length > 0 ? 'Executed migrations for' : 'No migrations have been run yet for'
    this.printer.line('info', `${heading} ${where}${executed.length > 0 ? ':' : ''}`)
    for (const { module, executed: done } of executed) {
      this.printer.line('info', `${module}: ${done.map(({ name }) => name).join(', ')}`)
    }
    for (const { module, pending } of modules) {
      if (pending.length > 0) this.printer.line('warn', `${module}, to run: ${pending.join(', ')}`)
    }
  }
}
