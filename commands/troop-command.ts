// What all commands have in common: the configuration they read, how they print, and how they fail.
import { extname } from 'node:path'
import { Command, Errors, Flags } from '@oclif/core'
import { describeError, TroopError } from '../src/base/errors.ts'
import { configurationPath, type LoadedConfig, loadConfig } from '../src/config/config.ts'
import { ConfigurationInvalid, describeFaults } from '../src/config/errors.ts'
import { shellWord } from '../src/dev/shell.ts'
import { Printer } from './printer.ts'

/** For every command that reads the configuration. */
export const configFlag = Flags.string({
  char: 'c',
  helpValue: '<path>',
  description: 'configuration file; default /etc/troop/troop.yml, or built-in defaults if there is none',
})

/** For every command that lists something. */
export const jsonFlag = Flags.boolean({ description: 'print JSON, and nothing else, on standard output' })

const isCheckout = extname(import.meta.filename) === '.ts'

export abstract class TroopCommand extends Command {
  /** What was asked for. */
  protected readonly output = new Printer(process.stdout)
  /** What else people are told; on standard error where standard output is for programs. */
  protected printer = this.output

  /** Where the person is: npm runs commands of a checkout in its root. */
  protected get typedIn(): string {
    return (isCheckout && process.env.INIT_CWD) || process.cwd()
  }

  /** What the command line is called by, from where the person is. */
  protected get calledBy(): string {
    if (!isCheckout) return 'troop'
    const { root } = this.config
    return `npm ${this.typedIn === root ? '' : `--prefix ${shellWord(root)} `}run -s troop --`
  }

  /** Leaves standard output to JSON, or to the log. */
  protected printToStderr(): void {
    this.printer = new Printer(process.stderr)
  }

  protected printLines(lines: readonly string[]): void {
    for (const line of lines) this.output.plain(line)
  }

  protected printJson(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
  }

  protected async loadConfiguration(path: string | undefined): Promise<LoadedConfig> {
    const found = await configurationPath({ path })
    this.printer.line('info', `Using configuration: ${found ?? 'built-in defaults'}`)
    return loadConfig({ path: found })
  }

  /** Says what was given and has no effect, or not what was meant, where a person is about to rely on it. */
  protected printNotices({ notices, warnings }: LoadedConfig): void {
    for (const { cause, remedies } of describeFaults(warnings)) this.printer.line('warn', cause, remedies)
    for (const { property, place, reason } of notices) {
      this.printer.line('warn', `${property}: has no effect: ${reason} (${place})`)
    }
  }

  /** All errors end here: one line of cause, one of remedy, exit code 1. */
  protected override async catch(error: Error): Promise<void> {
    process.exitCode = 1
    if (error instanceof Errors.CLIError) {
      // How the command was called: oclif's own words, and where to read more.
      const [cause] = error.message.split('\nSee more help with --help')
      process.stderr.write(`${cause}\nSee "${this.config.bin} ${this.id?.replaceAll(':', ' ')} --help".\n`)
      return
    }
    if (error instanceof ConfigurationInvalid) {
      for (const { cause, remedies } of describeFaults(error.faults))
        this.printer.line('warn', cause, remedies)
    }
    this.printError(error)
  }

  protected printError(error: unknown): void {
    const hint = error instanceof TroopError ? error.hint : undefined
    this.printer.line('error', describeError(error), hint === undefined ? [] : [hint])
  }
}
