// Heads that are worth keeping: of each something else was made than of all before it. One on a line of corpus.txt, as
// a JSON text with a char for each byte.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const path = join(import.meta.dirname, 'corpus.txt')

export function readCorpus(): Buffer[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => Buffer.from(JSON.parse(line), 'latin1'))
}

export function writeCorpus(heads: readonly Buffer[]): void {
  writeFileSync(path, heads.map((head) => `${written(head)}\n`).join(''))
}

/** As it stands in the file. */
export function written(head: Buffer): string {
  return JSON.stringify(head.toString('latin1'))
}
