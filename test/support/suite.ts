// Runs all checks and tests: a few mocha processes at a time, since most of them wait for other processes most of the time. What
// each prints is shown when it is done; what failed is said again at the end, and the last line counts them all.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareServer } from './postgres.ts'
import { root } from './sources.ts'

/** Twice the cores of the smallest machine: what waits leaves its core to the others. */
const jobsAtOnce = 4

/** The long ones first, so that none of them is last. */
const jobs: readonly (readonly string[])[] = [
  ['test/unit/**/*.test.ts'],
  ...halves(testsIn('integration')),
  ['test/simulation/**/*.test.ts'],
  ['test/model/*.test.ts', 'test/fuzz/*.test.ts', 'test/soak/*.test.ts'],
  ['test/bench/*.test.ts', 'test/*.test.ts'],
  ...testsIn('system').map((file) => [file]),
]

/** What one process has compiled, the next ones need not: a third of what it costs to start a node. */
const compileCache = mkdtempSync(join(tmpdir(), 'troop-compiled-'))
process.once('exit', () => rmSync(compileCache, { recursive: true, force: true }))

/** Nor does each have to make a server's files and run all migrations. */
const prepared = await prepareServer()

const env = { ...process.env, ...prepared, NODE_COMPILE_CACHE: compileCache }

const total = { passed: 0, failed: 0, skipped: 0, ended: 0 }
const failures: string[] = []

const checked = check()
await warmUp()
const queue = [() => checked, ...jobs.map((files) => () => run(files))]
await Promise.all(
  Array.from({ length: jobsAtOnce }, async () => {
    for (let job = queue.shift(); job; job = queue.shift()) await job()
  }),
)
process.stdout.write(failures.map((failure) => `\n${failure}`).join(''))
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : ''
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`)
process.exitCode = total.failed === 0 && total.ended === 0 ? 0 : 1

function testsIn(folder: string): string[] {
  const files = readdirSync(join(root, 'test', folder)).filter((name) => name.endsWith('.test.ts'))
  return files.sort().map((name) => `test/${folder}/${name}`)
}

/** Every other one, so that neighbours, which are alike, take as long in both. */
function halves(files: readonly string[]): string[][] {
  return [0, 1].map((half) => files.filter((_, i) => i % 2 === half))
}

/** Fills the cache of what is compiled, before many need it at once. */
async function warmUp(): Promise<void> {
  const { output, code, seconds } = await outcomeOf(
    process.execPath,
    [join(import.meta.dirname, 'warm-up.ts')],
    env,
  )
  if (code !== 0) {
    total.ended++
    failures.push(`${output}\nthe first node: ended with ${code}\n`)
  }
  process.stdout.write(`${seconds} s: the first node\n`)
}

/** Lint, types and layers; what it says is shown when it fails. */
async function check(): Promise<void> {
  const { output, code, seconds } = await outcomeOf('npm', ['run', '-s', 'check'], process.env)
  if (code !== 0) {
    total.ended++
    failures.push(`${output}\nnpm run check: ended with ${code}\n`)
  }
  process.stdout.write(`${seconds} s: npm run check${code === 0 ? '' : ', which failed'}\n`)
}

/** Runs one job; counts what it says, and that it ended badly when it does not say why. */
async function run(files: readonly string[]): Promise<void> {
  const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js')
  const { output, code, seconds } = await outcomeOf(process.execPath, [mocha, ...files], env)
  const counts = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/m.exec(output)
  total.passed += Number(counts?.[1] ?? 0)
  total.failed += Number(counts?.[2] ?? 0)
  total.skipped += Number(counts?.[3] ?? 0)
  const failed = Number(counts?.[2] ?? 0)
  const job = files.length > 1 ? `${files[0]} and others` : files[0]
  if (failed > 0) failures.push(`${job}:\n${/^.*\d+ failing[\s\S]*/m.exec(output)?.[0]}`)
  if (code !== 0 && failed === 0) {
    total.ended++
    failures.push(`${output.slice(-2000)}\n${files.join(' ')}: ended with ${code}\n`)
  }
  process.stdout.write(`${output}${seconds} s: ${job}\n`)
}

async function outcomeOf(program: string, words: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(program, words, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  }
  const startedAt = performance.now()
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { output, code, seconds: Math.round((performance.now() - startedAt) / 1000) }
}
