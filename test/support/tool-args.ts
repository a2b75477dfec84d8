// What a tool of this checkout was told on its command line. What can't be understood ends it, with a sentence and how it is used.
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** As `parseArgs`. @param usage  the command, as a person writes it */
export function toolArgs<T extends ParseArgsConfig>(
  usage: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  if ((config.args ?? process.argv.slice(2)).includes('--help')) {
    process.stdout.write(`usage: ${usage}\n`)
    process.exit(0)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    return misused(usage, (error as Error).message)
  }
}

/** What an option says; it can't be less than 0. */
export function numberOf(usage: string, option: string, text: string): number {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text)
  return misused(usage, `--${option}: expected a number, got ${JSON.stringify(text)}`)
}

export function misused(usage: string, why: string): never {
  process.stderr.write(`${why}\nusage: ${usage}\n`)
  process.exit(2)
}
