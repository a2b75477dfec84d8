#!/usr/bin/env node
// The command line's entry: finds the command and lets oclif run it. Runs as it is from a checkout and compiled
// from the package.
import { readFile } from 'node:fs/promises'
import { constants, enableCompileCache } from 'node:module'
import { dirname, extname, join } from 'node:path'
import type { Config } from '@oclif/core'

const compiled = extname(import.meta.filename) === '.js'
const root = compiled ? dirname(dirname(import.meta.dirname)) : dirname(import.meta.dirname)

keepCompiled()
const oclif = await import('@oclif/core')
// Node runs the sources itself; nothing is to be looked for that could translate them.
oclif.settings.enableAutoTranspile = false

process.exitCode = await main(process.argv.slice(2))

/**
 * What V8 compiles is kept from one call to the next, which takes a third of its time less then. It lies with the program,
 * where nobody can put anything who could not change that as well; where it can't be written, nothing is kept.
 */
function keepCompiled(): void {
  const directory = join(root, 'node_modules', '.cache', 'compiled')
  const { status } = enableCompileCache(directory)
  // That is how threads and child processes learn of it.
  if (status === constants.compileCacheStatus.ENABLED) process.env.NODE_COMPILE_CACHE = directory
}

async function main(argv: readonly string[]): Promise<number> {
  const config = await loadCommands()
  const [first, second, ...rest] = argv
  if (first === undefined) return refuse(config, 'Missing <command>')
  if (isHelp(first)) return showHelp(config, [])
  if (first === '--version') return runCommand(config, 'version', [])
  if (config.commandIDs.includes(first)) return runCommand(config, first, argv.slice(1))
  if (!config.commandIDs.some((id) => id.startsWith(`${first}:`))) {
    return refuse(config, `Invalid <command>: ${first}`)
  }
  if (second === undefined) return refuseTopic(config, first, 'Missing required <command>.')
  if (isHelp(second)) return showHelp(config, [first])
  const id = `${first}:${second}`
  if (!config.commandIDs.includes(id)) return refuseTopic(config, first, `Invalid command: ${second}`)
  return runCommand(config, id, rest)
}

/** Takes the commands from the list in commands/index.ts; there are no plugins of the command line. */
async function loadCommands(): Promise<Config> {
  const pjson = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const target = compiled ? './dist/commands/index.js' : './commands/index.ts'
  const commands = { ...pjson.oclif.commands, target }
  const topics = {
    cluster: {
      description:
        'The nodes that share the datastore: members, positions, reachability, verify, force-leave, keygen.',
    },
    migrations: { description: "The datastore's schema: list, up, reset." },
    plugin: { description: 'Plugins of your own: create, test.' },
  }
  return oclif.Config.load({
    root,
    pjson: { ...pjson, oclif: { ...pjson.oclif, commands, topics, plugins: [] } },
  })
}

/** Commands print their errors themselves and leave an exit code. */
async function runCommand(config: Config, id: string, argv: string[]): Promise<number> {
  if (argv.some(isHelp)) return showHelp(config, [id])
  await config.runCommand(id, argv)
  return Number(process.exitCode ?? 0)
}

async function refuse(config: Config, why: string): Promise<number> {
  process.stdout.write(`${why}\n\n`)
  await showHelp(config, [])
  return 1
}

function refuseTopic(config: Config, topic: string, why: string): number {
  process.stderr.write(`${why}\nSee "${config.bin} ${topic} --help".\n`)
  return 1
}

async function showHelp(config: Config, argv: string[]): Promise<number> {
  const Help = await oclif.loadHelpClass(config)
  await new Help(config, config.pjson.oclif.helpOptions).showHelp(argv)
  return 0
}

function isHelp(word: string): boolean {
  return word === '--help' || word === '-h'
}
