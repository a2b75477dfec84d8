// Runs all faults, or those whose names contain one of the words given, and writes the table in docs/reliability.md:
// `npm run faults [-- [--nodes 5] [word …]]`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeError } from '../../../src/base/errors.ts'
import { removeServers } from '../../support/postgres.ts'
import { misused, numberOf, toolArgs } from '../../support/tool-args.ts'
import { missing } from './abilities.ts'
import { type Fault, faults } from './faults.ts'
import { detailsOf, isKept, type Result, rowOf, writePage } from './report.ts'
import { Trial } from './trial.ts'

/** Tells this process that its mounts are its own: they are gone with it, and nobody else sees them. */
const ownMounts = 'FAULTS_OWN_MOUNTS'
/** Of one fault; more of the same says nothing new. */
const detailsMax = 10

const usage = 'npm run faults -- [--nodes N] [WORD…]'

async function main(): Promise<void> {
  const { values, positionals } = toolArgs(usage, {
    options: { nodes: { type: 'string', default: '3' } },
    allowPositionals: true,
  })
  const size = numberOf(usage, 'nodes', values.nodes)
  const isChosen = ({ name }: Fault) =>
    positionals.length === 0 || positionals.some((word) => name.includes(word))
  const chosen = faults.filter(isChosen)
  if (chosen.length === 0) misused(usage, `no fault has one of these words: ${positionals.join(', ')}`)
  const compiled = mkdtempSync(join(tmpdir(), 'troop-compiled-'))
  process.env.NODE_COMPILE_CACHE = compiled
  const campaign = new Campaign(size)
  const stop = async () => {
    await campaign.clear()
    rmSync(compiled, { recursive: true, force: true })
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stop().finally(() => process.exit(130)))
  }
  const results = await campaign.run(chosen)
  await stop()
  if (chosen.length === faults.length) writePage(results, size)
  process.exitCode = results.every(isKept) ? 0 : 1
}

class Campaign {
  readonly #size: number
  #trial: Trial | undefined

  constructor(size: number) {
    this.#size = size
  }

  /** Faults of one kind of cluster follow each other, and share one for as long as that is well. */
  async run(chosen: readonly Fault[]): Promise<readonly Result[]> {
    const results = new Map<Fault, Result>()
    for (const sharing of Map.groupBy(chosen, ({ options }) => options).values()) {
      for (const fault of sharing) {
        const result = await this.#tryOut(fault)
        results.set(fault, result)
        process.stdout.write(`${rowOf(result).join(' | ')}\n`)
        for (const detail of detailsOf(result).slice(0, detailsMax)) process.stdout.write(`  ${detail}\n`)
      }
      await this.#end()
    }
    return chosen.flatMap((fault) => results.get(fault) ?? [])
  }

  /** Ends whatever runs. */
  async clear(): Promise<void> {
    await this.#end()
    await removeServers()
  }

  async #tryOut(fault: Fault): Promise<Result> {
    const lacking = missing(fault.options)
    if (lacking !== undefined) return { fault, skipped: lacking }
    try {
      this.#trial ??= await Trial.start({ ...fault.options, size: this.#size })
      return { fault, seen: await this.#trial.observe(fault.inflict) }
    } catch (error) {
      process.stderr.write(`${fault.name}: ${error instanceof Error ? error.stack : error}\n`)
      await this.#end()
      return { fault, failure: describeError(error) }
    }
  }

  async #end(): Promise<void> {
    const trial = this.#trial
    this.#trial = undefined
    await trial?.remove()
  }
}

/** Runs this again where it sees mounts of its own, if it may; false if this is that run, or it may not. */
function isRunWithOwnMounts(): boolean {
  if (process.getuid?.() !== 0 || process.env[ownMounts] !== undefined) return false
  const env = { ...process.env, [ownMounts]: 'yes' }
  const words = ['--mount', process.execPath, ...process.argv.slice(1)]
  const { status, error } = spawnSync('unshare', words, { stdio: 'inherit', env })
  if (error) return false
  process.exitCode = status ?? 1
  return true
}

if (!isRunWithOwnMounts()) await main()
