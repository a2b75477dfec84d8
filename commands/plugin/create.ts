import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, extname, join, resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { codeOf } from '../../src/base/errors.ts'
import { shellWord } from '../../src/dev/shell.ts'
import { NameRefused, WouldOverwrite } from '../errors.ts'
import { TroopCommand } from '../troop-command.ts'
import { type EditorTypes, type Language, skeletonOf } from './skeleton.ts'

export class PluginCreate extends TroopCommand {
  static override summary = 'Begin a plugin: a folder with one that works, and its test.'
  static override args = {
    name: Args.string({ description: 'lower-case letters, digits and -', required: true }),
  }
  static override flags = {
    directory: Flags.string({
      description: 'where its folder is made',
      helpValue: '<where>',
      default: '.',
    }),
    language: Flags.option({ options: ['ts', 'js'] as const, default: 'ts' as Language })({
      description: 'TypeScript, which Node runs as it is, or JavaScript',
    }),
  }

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginCreate)
    const { nameFault } = await import('../../src/node/plugins.ts')
    const fault = nameFault(args.name)
    if (fault !== undefined) throw new NameRefused(args.name, fault)
    const folder = resolve(this.typedIn, flags.directory, args.name)
    const files = skeletonOf({ name: args.name, language: flags.language, types: this.#types() })
    await makeFolder(folder)
    for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text)
    this.printer.line('ok', `Created ${folder}: ${Object.keys(files).join(', ')}`)
    this.printLines(this.#nextSteps(args.name, folder, flags.language))
  }

  #nextSteps(name: string, folder: string, language: Language): string[] {
    const troop = this.calledBy
    const file = shellWord(join(folder, `${name}.${language}`))
    const api = `-d name=${name} -d request_path=/${name} -d upstream_url=http://127.0.0.1:8009`
    const steps: [what: string, command: string][] = [
      ['test it', `${troop} plugin test ${shellWord(folder)}`],
      [
        'run it on a local cluster, which takes it anew whenever you change it',
        `TROOP_CUSTOM_PLUGINS=${file} ${troop} dev`,
      ],
      [
        'in another terminal, add an API that has it, and call that',
        `curl -s ${api} http://127.0.0.1:8001/apis; curl -s -d name=${name} -d config.greeting=moin http://127.0.0.1:8001/apis/${name}/plugins; curl -s http://127.0.0.1:8000/${name}`,
      ],
      ['take that away again', `curl -s -X DELETE http://127.0.0.1:8001/apis/${name}`],
    ]
    return steps.flatMap(([what, command]) => ['', `  # ${what}`, `  ${command}`])
  }

  /** From a checkout the sources, else what was made of them. */
  #types(): EditorTypes {
    const { root } = this.config
    const isSource = extname(import.meta.filename) === '.ts'
    const of = (path: string) =>
      isSource ? join(root, 'src', `${path}.ts`) : join(root, 'dist/src', `${path}.d.ts`)
    // Those of the checkout, or of whoever has installed Troop.
    const roots = [join(root, 'node_modules', '@types'), join(dirname(root), '@types')]
    return {
      troop: of('index'),
      testing: of('testing/testing'),
      roots: roots.find((folder) => existsSync(join(folder, 'node'))),
    }
  }
}

/** @throws {WouldOverwrite} */
async function makeFolder(folder: string): Promise<void> {
  await mkdir(resolve(folder, '..'), { recursive: true })
  try {
    await mkdir(folder)
  } catch (error) {
    throw codeOf(error) === 'EEXIST' ? new WouldOverwrite(folder) : error
  }
}
