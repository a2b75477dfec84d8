import { loadConfig, maskConfiguration } from '../src/config/config.ts'
import { ConfigurationInvalid } from '../src/config/errors.ts'
import { configFlag, jsonFlag, TroopCommand } from './troop-command.ts'

export class Check extends TroopCommand {
  static override summary = 'Check the configuration: all faults, and what has no effect.'
  static override flags = { config: configFlag, json: jsonFlag }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Check)
    if (flags.json) return this.#printReport(flags.config)
    this.printNotices(await this.loadConfiguration(flags.config))
    this.printer.line('ok', 'The configuration is valid')
  }

  async #printReport(path: string | undefined): Promise<void> {
    this.printToStderr()
    try {
      const { config, path: read, notices } = await loadConfig({ path })
      this.printJson({ valid: true, path: read ?? null, notices, configuration: maskConfiguration(config) })
    } catch (error) {
      if (!(error instanceof ConfigurationInvalid)) throw error
      process.exitCode = 1
      this.printJson({ valid: false, faults: error.faults })
    }
  }
}
