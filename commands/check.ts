import { systemClock } from '../src/base/clock.ts'
import { silentLogger } from '../src/base/logger.ts'
import { systemRandom } from '../src/base/random.ts'
import { type Config, loadConfig, maskConfiguration } from '../src/config/config.ts'
import { ConfigurationInvalid } from '../src/config/errors.ts'
import { certificateFaults } from '../src/node/certificates.ts'
import { configFlag, jsonFlag, TroopCommand } from './troop-command.ts'

export class Check extends TroopCommand {
  static override summary = 'Check the configuration: all faults, and what has no effect.'
  static override flags = { config: configFlag, json: jsonFlag }

  override async run(): Promise<void> {
    const { flags } = await this.parse(Check)
    if (flags.json) return this.#printReport(flags.config)
    const loaded = await this.loadConfiguration(flags.config)
    await requireCertificates(loaded.config)
    this.printNotices(loaded)
    this.printer.line('ok', 'The configuration is valid')
  }

  async #printReport(path: string | undefined): Promise<void> {
    this.printToStderr()
    try {
      const { config, path: read, notices, warnings } = await loadConfig({ path })
      await requireCertificates(config)
      const configuration = maskConfiguration(config)
      this.printJson({ valid: true, path: read ?? null, notices, warnings, configuration })
    } catch (error) {
      if (!(error instanceof ConfigurationInvalid)) throw error
      process.exitCode = 1
      this.printJson({ valid: false, faults: error.faults })
    }
  }
}

/** Their contents, too: a node that is given files which don't belong together does not start. */
async function requireCertificates(config: Config): Promise<void> {
  const surroundings = { clock: systemClock, random: systemRandom, logger: silentLogger }
  const faults = await certificateFaults(config, surroundings)
  if (faults.length > 0) throw new ConfigurationInvalid(faults)
}
