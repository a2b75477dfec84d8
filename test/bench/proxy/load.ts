// wrk, which asks on some connections without a pause, and what it costs the process that it asks by.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { usageOf } from '../../support/usage.ts'

export interface Load {
  readonly requestsPerS: number
  readonly p99Ms: number
  /** Processor time of the proxy for each request. */
  readonly cpuUs: number
}

export interface LoadOptions {
  readonly seconds: number
  /** By name. */
  readonly headers?: Readonly<Record<string, string>>
  /** Bytes of the body that each request sends; default: it is a GET without one. */
  readonly bodyBytes?: number | undefined
  /** Default: 50. */
  readonly connections?: number | undefined
  /** Put before wrk's own command: who pins it to a core. */
  readonly prefix: readonly string[]
}

const run = promisify(execFile)

/** @param pid  of the proxy behind `url` */
export async function loadOn(url: string, pid: number, options: LoadOptions): Promise<Load> {
  const { seconds, headers = {}, bodyBytes, connections = 50, prefix } = options
  const fields = Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`])
  const [program = '', ...args] = [
    ...prefix,
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    // On a busy machine some wait long; they are answered all the same.
    '--timeout',
    '60s',
    ...fields,
    ...(bodyBytes === undefined
      ? [url]
      : ['--script', join(import.meta.dirname, 'post.lua'), url, '--', String(bodyBytes)]),
  ]
  const cpuMs = async () => (await usageOf(pid)).cpuMs
  const before = await cpuMs()
  const { stdout } = await run(program, args)
  const after = await cpuMs()
  // Whatever is not answered as it should be is cheaper, or dearer, than what is to be measured.
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${url} failed:\n${stdout}`)
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  const [, p99 = '', unit = ''] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout) ?? []
  return {
    requestsPerS: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    p99Ms: Number(p99) * (msIn[unit] ?? Number.NaN),
    cpuUs: ((after - before) * 1000) / requests,
  }
}

const msIn: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 }
