// npm run simulate:mutants: how many seeds it takes to find each mistake of mutations.ts.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/sources.ts'
import { numberOf, toolArgs } from '../support/tool-args.ts'
import { mutations } from './mutations.ts'
import { type Found, Workshop } from './workshop.ts'

const usage = 'npm run simulate:mutants -- [--seed N] [--only TEXT|TEXT…] [--most N] [--write]'
const { values } = toolArgs(usage, {
  options: {
    seed: { type: 'string', default: '1' },
    /** Those alone whose sentence has one of these texts, which | separates. */
    only: { type: 'string', default: '' },
    most: { type: 'string', default: '400' },
    /** Puts the table into docs/simulation.md. */
    write: { type: 'boolean', default: false },
  },
})

const page = join(root, 'docs', 'simulation.md')
/** What lies between these on the page is written here. */
const block =
  /(?<=<!-- Made by "npm run simulate:mutants -- --write"\. -->\n).*?(?=<!-- The end of the table\. -->)/s

const workshop = await Workshop.open(numberOf(usage, 'most', values.most))
const found: Found[] = []
try {
  const parts = values.only.split('|')
  for (const mutation of mutations.filter(({ mistake }) => parts.some((part) => mistake.includes(part)))) {
    const one = await workshop.try(mutation, numberOf(usage, 'seed', values.seed))
    found.push(one)
    process.stdout.write(`${outcomeOf(one).padEnd(20)} ${one.mistake}\n`)
  }
} finally {
  await workshop.close()
}
const table = tableOf(found)
/** Above the table. */
const caption = `From seed ${values.seed}, ${values.most} at the most for each, in one run.`
process.stdout.write(`\n${table}`)
const escaped = found.filter(({ seeds }) => seeds === undefined)
if (escaped.length > 0) {
  process.stdout.write(`\nnot seen: ${escaped.map(({ mistake }) => mistake).join('; ')}\n`)
  process.exitCode = 1
}
if (values.write)
  writeFileSync(
    page,
    readFileSync(page, 'utf8').replace(block, () => `\n${caption}\n\n${table}\n`),
  )

function outcomeOf({ seeds, claim }: Found): string {
  return seeds === undefined ? `not in ${values.most} seeds` : `${claim} after ${seeds}`
}

function tableOf(all: readonly Found[]): string {
  const rows = all.map(({ mistake, seeds, claim }) => {
    const seen = seeds === undefined ? ['', `more than ${values.most}`, ''] : [claim, seeds, lastOf(seeds)]
    return [mistake, ...seen]
  })
  const lines = [
    ['mistake', 'claim that broke', 'seeds it took', 'the last one'],
    ['---', '---', '---', '---'],
  ]
  return [...lines, ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

/** The seed that broke it. */
function lastOf(seeds: number): number {
  return Number(values.seed) + seeds - 1
}
