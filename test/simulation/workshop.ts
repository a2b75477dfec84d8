// Makes a mistake in a copy of the source, and counts the seeds until the oracle sees it.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../support/sources.ts'
import type { Mutation } from './mutations.ts'

export interface Found {
  readonly mistake: string
  /** How many seeds it took; undefined when none found it. */
  readonly seeds: number | undefined
  /** What did not hold. */
  readonly claim: string | undefined
}

/** The copy that mistakes are made in, one after the other. */
export class Workshop {
  readonly #dir: string
  readonly #seedsMax: number

  private constructor(dir: string, seedsMax: number) {
    this.#dir = dir
    this.#seedsMax = seedsMax
  }

  /** @param seedsMax  beyond it a mistake counts as not found */
  static async open(seedsMax: number): Promise<Workshop> {
    const dir = await mkdtemp(join(tmpdir(), 'troop-mutants-'))
    const workshop = new Workshop(dir, seedsMax)
    for (const path of ['package.json', 'src', 'migrations', 'test/simulation']) {
      await mkdir(dirname(join(dir, path)), { recursive: true })
      await cp(join(root, path), join(dir, path), { recursive: true })
    }
    await symlink(join(root, 'node_modules'), join(dir, 'node_modules'))
    return workshop
  }

  /** Runs seeds until one fails. @throws when the mistake can't be made any more */
  async try({ mistake, edits }: Mutation, seed: number): Promise<Found> {
    const originals = new Map<string, string>()
    try {
      for (const { file, from, to } of edits) {
        const text = await readFile(join(this.#dir, file), 'utf8')
        if (text.split(from).length !== 2) throw new Error(`"${mistake}": ${file} has not once: ${from}`)
        if (!originals.has(file)) originals.set(file, text)
        await writeFile(
          join(this.#dir, file),
          text.replace(from, () => to),
        )
      }
      return { mistake, ...(await this.#seedsUntilFailure(seed)) }
    } finally {
      for (const [file, text] of originals) await writeFile(join(this.#dir, file), text)
    }
  }

  async close(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #seedsUntilFailure(seed: number): Promise<Pick<Found, 'seeds' | 'claim'>> {
    const file = join(this.#dir, 'test', 'simulation', 'first-failure.ts')
    const { stdout } = await promisify(execFile)(process.execPath, [
      file,
      String(seed),
      String(this.#seedsMax),
    ])
    const [seeds, claim] = stdout.trim().split(' ')
    return seeds === 'none' ? { seeds: undefined, claim: undefined } : { seeds: Number(seeds), claim }
  }
}
