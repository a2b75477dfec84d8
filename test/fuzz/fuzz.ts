// `npm run fuzz -- --minutes 10`: the claims of this folder again and again, each round with other seeds, until the time
// is up or one breaks. Default 5 minutes. `npm run fuzz -- lanes …`: see lanes/lanes.ts.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { root } from '../support/sources.ts'
import { numberOf, toolArgs } from '../support/tool-args.ts'
import { compareLanes } from './lanes/lanes.ts'

/** Of what `npm test` does; a round takes a minute or two. */
const runsPerRound = '20'

const usage = 'npm run fuzz -- [--minutes N], or npm run fuzz -- lanes [--cases N] [--seed N] [--grow]'

const [first, ...others] = process.argv.slice(2)
if (first === 'lanes') process.exitCode = (await compareLanes(others)) ? 0 : 1
else process.exitCode = runAll(process.argv.slice(2)) ? 0 : 1

function runAll(args: string[]): boolean {
  const { values } = toolArgs(usage, { args, options: { minutes: { type: 'string', default: '5' } } })
  const end = systemClock.monotonic() + numberOf(usage, 'minutes', values.minutes) * 60_000
  let rounds = 0
  do {
    const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js')
    const env = { ...process.env, FUZZ: runsPerRound }
    const { status } = spawnSync(process.execPath, [mocha, '--timeout', '0', 'test/fuzz/*.test.ts'], {
      cwd: root,
      env,
      stdio: 'inherit',
    })
    if (status !== 0) return false
    rounds++
  } while (systemClock.monotonic() < end)
  process.stdout.write(
    `${rounds} rounds of ${runsPerRound} times as many runs as in npm test: no claim broke\n`,
  )
  return true
}
