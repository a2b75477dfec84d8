import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { offeringModule } from '../../src/plugins/module-addresses.ts'
import { NothingToTest } from '../errors.ts'
import { TroopCommand } from '../troop-command.ts'

export class PluginTest extends TroopCommand {
  static override summary = "Run a plugin's tests: those of a folder and below it, or one file."
  static override description =
    "By Node's own test runner, in which troop and troop/testing are this Troop: nothing has to be installed or built."
  static override args = {
    path: Args.string({ description: 'folder or file', default: '.' }),
  }
  static override flags = {
    watch: Flags.boolean({ description: 'run them again whenever a file changes' }),
  }

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginTest)
    const path = resolve(this.typedIn, args.path)
    const found = await stat(path).catch(() => undefined)
    if (!found) throw new NothingToTest(path)
    const [folder, files] = found.isDirectory() ? [path, []] : [dirname(path), [basename(path)]]
    const words = ['--import', offeringModule(), '--test', ...(flags.watch ? ['--watch'] : []), ...files]
    const runner = spawn(process.execPath, [...process.execArgv, ...words], { cwd: folder, stdio: 'inherit' })
    const [code] = await once(runner, 'exit')
    process.exitCode = code ?? 1
  }
}
