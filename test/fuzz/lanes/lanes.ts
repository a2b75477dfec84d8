// `npm run fuzz -- lanes --cases 10000000 [--seed 1] [--grow]`: heads without end, each read by the fast lane, and what that
// takes by node:http as well. With --grow, what was new is added to the corpus.
import { systemClock } from '../../../src/base/clock.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { seededRandom, whole } from '../../simulation/chance.ts'
import { numberOf, toolArgs } from '../../support/tool-args.ts'
import { compare, type Disagreement } from './comparison.ts'
import { readCorpus, writeCorpus, written } from './corpus.ts'

const usage = 'npm run fuzz -- lanes [--cases N] [--seed N] [--grow]'

export async function compareLanes(args: readonly string[]): Promise<boolean> {
  const { values } = toolArgs(usage, {
    args: [...args],
    options: {
      cases: { type: 'string', default: '1000000' },
      seed: { type: 'string' },
      grow: { type: 'boolean', default: false },
    },
  })
  const seed = values.seed === undefined ? whole(systemRandom, 2 ** 32) : numberOf(usage, 'seed', values.seed)
  const corpus = readCorpus()
  const from = systemClock.monotonic()
  const report = await compare({
    cases: numberOf(usage, 'cases', values.cases),
    random: seededRandom(seed),
    corpus,
  })
  const seconds = (systemClock.monotonic() - from) / 1000
  if (values.grow) writeCorpus([...corpus, ...report.novel])
  const found = [
    `${report.cases} cases in ${seconds.toFixed(0)} s, seed ${seed}`,
    `${report.taken} taken by the fast lane, ${report.disagreements.length} of them otherwise by the ordinary one`,
    `${report.novel.length} unlike all of the corpus (${corpus.length})`,
  ]
  process.stdout.write(`${[...found, ...report.disagreements.map(disagreementText)].join('\n')}\n`)
  return report.disagreements.length === 0
}

export function disagreementText({ head, fast, ordinary }: Disagreement): string {
  return [written(head), `  fast: ${JSON.stringify(fast)}`, `  ordinary: ${JSON.stringify(ordinary)}`].join(
    '\n',
  )
}
