// Runs one benchmark: `npm run bench -- <name> [--toy | --quick | --long] [--nodes 3] [--only cost]`. Each lies beside this
// file under its name, its parts in a folder of that name, and exports `bench`; toy size shows in seconds that it still works, and says nothing about speed.
import { readdir } from 'node:fs/promises'
import { removeServers } from '../support/postgres.ts'
import { misused, numberOf, toolArgs } from '../support/tool-args.ts'

export interface BenchOptions {
  readonly toy: boolean
  /** Fewer rounds, where a benchmark takes most of an hour otherwise. */
  readonly quick?: boolean | undefined
  /** More of what takes long, where a benchmark says so. */
  readonly long?: boolean | undefined
  /** Of how many nodes, where a benchmark takes several sizes; default: all of them. */
  readonly nodes?: number | undefined
  /** Which parts, where a benchmark has several; default: all of them. */
  readonly only?: readonly string[] | undefined
  /** Told what is measured as soon as it is, where that takes long. */
  readonly report?: (line: string) => void
}

export interface Benchmark {
  /** Measures, and returns what to print. */
  bench(options: BenchOptions): Promise<string>
}

/** Names of all benchmarks. */
export async function benchmarks(): Promise<string[]> {
  const files = await readdir(import.meta.dirname)
  return files.flatMap((file) => /^(?!bench\.|.*\.test\.)(.+)\.ts$/.exec(file)?.[1] ?? []).sort()
}

/** Runs one, and stops whatever servers it started. */
export async function runBenchmark(name: string, options: BenchOptions): Promise<string> {
  const { bench } = (await import(`./${name}.ts`)) as Benchmark
  return bench(options)
}

async function main(): Promise<void> {
  const report = (line: string) => process.stderr.write(`${line}\n`)
  const names = await benchmarks()
  const usage = `npm run bench -- <${names.join('|')}> [--toy | --quick | --long] [--nodes N] [--only PART,…]`
  const { values, positionals } = toolArgs(usage, {
    options: {
      toy: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      nodes: { type: 'string' },
      only: { type: 'string' },
    },
    allowPositionals: true,
  })
  const name = positionals[0]
  if (name === undefined) misused(usage, 'say which one')
  if (!names.includes(name)) misused(usage, `no benchmark is called ${name}`)
  try {
    const nodes = values.nodes === undefined ? undefined : numberOf(usage, 'nodes', values.nodes)
    const only = values.only?.split(',')
    process.stdout.write(`${await runBenchmark(name, { ...values, nodes, only, report })}\n`)
  } finally {
    await removeServers()
  }
}

if (import.meta.main) await main()
