// `npm run fuzz -- lanes --cases 10000000 [--seed 1] [--grow]`: heads without end, each read by the fast lane, and what that
// takes by node:http as well. With --grow, what was new is added to the corpus. A tenth as many are said over HTTP/2, too.
import { systemClock } from '../../../src/base/clock.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { seededRandom, whole } from '../../simulation/chance.ts'
import { numberOf, toolArgs } from '../../support/tool-args.ts'
import { compare, type Disagreement } from './comparison.ts'
import { readCorpus, writeCorpus, written } from './corpus.ts'
import { compareHttp2, type Http2Disagreement } from './http2-comparison.ts'

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
  const cases = numberOf(usage, 'cases', values.cases)
  const report = await compare({ cases, random: seededRandom(seed), corpus })
  const http2 = await compareHttp2({ cases: Math.ceil(cases / 10), random: seededRandom(seed), corpus })
  const seconds = (systemClock.monotonic() - from) / 1000
  if (values.grow) writeCorpus([...corpus, ...report.novel])
  const found = [
    `${report.cases} cases in ${seconds.toFixed(0)} s, seed ${seed}`,
    `${report.taken} taken by the fast lane, ${report.disagreements.length} of them otherwise by the ordinary one`,
    `${report.novel.length} unlike all of the corpus (${corpus.length})`,
    `${http2.cases} for HTTP/2: ${http2.compared} compared, ${http2.refused} to be refused, ${http2.disagreements.length} of all that otherwise`,
  ]
  const disagreements = [
    ...report.disagreements.map(disagreementText),
    ...http2.disagreements.map(http2DisagreementText),
  ]
  process.stdout.write(`${[...found, ...disagreements].join('\n')}\n`)
  return disagreements.length === 0
}

export function disagreementText({ head, fast, ordinary }: Disagreement): string {
  return [written(head), `  fast: ${JSON.stringify(fast)}`, `  ordinary: ${JSON.stringify(ordinary)}`].join(
    '\n',
  )
}

export function http2DisagreementText({ head, ordinary, form, http2 }: Http2Disagreement): string {
  const told = { 'ordinary lane': ordinary, 'said over HTTP/2': form, 'HTTP/2': http2 }
  return [written(head), ...Object.entries(told).map(([who, what]) => `  ${who}: ${text(what)}`)].join('\n')
}

/** Bodies as text, each byte a char. */
function text(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, given: unknown) {
    const own = this[key]
    return Buffer.isBuffer(own) ? own.toString('latin1') : given
  })
}
