// wrk with a script of its own, and what it costs the process that it asks by.
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { usageOf } from '../../support/usage.ts'

export interface WrkOptions {
  readonly url: string
  /** In Lua: has a function `request`. */
  readonly script: string
  readonly connections: number
  readonly seconds: number
  /** Put before its own command. */
  readonly prefix: readonly string[]
}

export interface WrkReport {
  readonly requests: number
  readonly bytesRead: number
  /** Processor time of all threads of the process, for each request. */
  readonly cpuUs: number
}

const run = promisify(execFile)

/** @param pid  of the proxy behind `url` */
export async function wrk(pid: number, options: WrkOptions): Promise<WrkReport> {
  const { url, script, connections, seconds, prefix } = options
  const dir = await mkdtemp(join(tmpdir(), 'troop-wrk-'))
  try {
    const file = join(dir, 'script.lua')
    await writeFile(file, script)
    const words = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '60s', '-s', file, url]
    const [program = '', ...args] = [...prefix, ...words]
    const before = await usageOf(pid)
    const { stdout } = await run(program, args)
    const after = await usageOf(pid)
    // Whatever is not answered as it should be is cheaper, or dearer, than what is to be measured.
    if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${url} failed:\n${stdout}`)
    const [, count, read, unit = ''] = /(\d+) requests in [^,]+, ([\d.]+)([KMGT]?)B read/.exec(stdout) ?? []
    const requests = Number(count)
    const bytesRead = Number(read) * 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf(unit)
    return { requests, bytesRead, cpuUs: ((after.cpuMs - before.cpuMs) * 1000) / requests }
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** Asks for each of these in turn, over and over, beginning after `asked` of them. */
export function asking(
  routes: readonly { readonly host: string; readonly path: string }[],
  asked: number,
): string {
  const lines = routes.map(({ host, path }) => `{ "${path}", "${host}" },`)
  return `local routes = {\n${lines.join('\n')}\n}
    local requests = {}
    local n = ${asked % routes.length}
    init = function()
      for i, route in ipairs(routes) do requests[i] = wrk.format("GET", route[1], { Host = route[2] }) end
    end
    request = function()
      n = n % #requests + 1
      return requests[n]
    end`
}

/** Asks with one key after the other, from `first` on, and from the first of all after the last. */
export function askingWithKeys(path: string, first: number, credentials: number): string {
  return `local n = ${first} - 1
    request = function()
      n = n + 1
      return wrk.format("GET", "${path}", { Host = "nobody.example.org", apikey = "key-" .. n % ${credentials} })
    end`
}

/** Gets `path`, and sends a body of as many bytes, in turns. */
export function passingBodies(path: string, bytes: number): string {
  return `local body = string.rep("x", ${bytes})
    local n = 0
    request = function()
      n = n + 1
      if n % 2 == 0 then return wrk.format("GET", "${path}") end
      return wrk.format("POST", "${path}", {}, body)
    end`
}
