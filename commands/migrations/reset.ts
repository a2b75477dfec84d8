import { createInterface } from 'node:readline/promises'
import { Flags } from '@oclif/core'
import { NoAnswer } from '../errors.ts'
import { configFlag, TroopCommand } from '../troop-command.ts'

const question = 'Are you sure? You will lose all of your data, this operation is irreversible. [Y/n] '

export class MigrationsReset extends TroopCommand {
  static override summary = 'Drop everything that Troop keeps in the datastore.'
  static override flags = {
    config: configFlag,
    yes: Flags.boolean({ char: 'y', description: 'do not ask' }),
  }

  override async run(): Promise<void> {
    const { flags } = await this.parse(MigrationsReset)
    const loaded = await this.loadConfiguration(flags.config)
    const { withSchema } = await import('./schema.ts')
    await withSchema(loaded, async (schema) => {
      this.printer.line('info', `Resetting schema for ${schema.description}`)
      if (!flags.yes && !(await isSure())) return
      await schema.reset()
      this.printer.line('ok', 'Schema successfully reset')
    })
  }
}

/** Asks until it is one of the eight answers that count. @throws {NoAnswer} when the input ends */
async function isSure(): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  terminal.setPrompt(question)
  terminal.prompt()
  try {
    for await (const answer of terminal) {
      if (['y', 'Y', 'yes', 'YES'].includes(answer)) return true
      if (['n', 'N', 'no', 'NO'].includes(answer)) return false
      terminal.prompt()
    }
  } finally {
    terminal.close()
  }
  throw new NoAnswer()
}
