// npm run simulate:mutants: how many seeds it takes to find each mistake of mutations.ts.
import { parseArgs } from 'node:util'
import { mutations } from './mutations.ts'
import { Workshop } from './workshop.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    /** Those alone whose sentence has this text. */
    only: { type: 'string', default: '' },
    most: { type: 'string', default: '400' },
  },
})

const workshop = await Workshop.open(Number(values.most))
let escaped = 0
try {
  for (const mutation of mutations.filter(({ mistake }) =>
    values.only.split('|').some((part) => mistake.includes(part)),
  )) {
    const { mistake, seeds, claim } = await workshop.try(mutation, Number(values.seed))
    if (seeds === undefined) escaped++
    const outcome = seeds === undefined ? `not in ${values.most} seeds` : `${claim} after ${seeds}`
    process.stdout.write(`${outcome.padEnd(20)} ${mistake}\n`)
  }
} finally {
  await workshop.close()
}
process.exitCode = escaped > 0 ? 1 : 0
