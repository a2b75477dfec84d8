// Changes by the Admin API that a client of the proxy can tell: each makes answers say the next version.
import { systemClock } from '../../../src/base/clock.ts'
import { systemRandom } from '../../../src/base/random.ts'
import type { NodeProcess } from '../../support/node-process.ts'
import type { TestDatabase } from '../../support/postgres.ts'

export const kinds = ['an API', 'a plugin'] as const
export type Kind = (typeof kinds)[number]

/** One change. On the monotonic clock. */
export interface Change {
  readonly version: number
  /** The write. */
  readonly sentMs: number
  /** As Postgres says. */
  readonly committedMs: number
  readonly answeredMs: number
}

/** Before each change nothing is done for that long, or up to twice that. */
const calmMs = 250

/** Makes the API `/watched` anew, with what is to be changed, and returns what changes it. */
export async function changing(
  node: NodeProcess,
  database: TestDatabase,
  kind: Kind,
  upstreamUrl: string,
): Promise<(version: number) => Promise<Change>> {
  const ask = async (method: string, path: string, body?: Parameters<NodeProcess['ask']>[2]) => {
    const { status, text, body: made } = await node.ask(method, path, body)
    if (status >= 300 && status !== 404) throw new Error(`${method} ${path}: ${status} ${text}`)
    return made
  }
  const strip = { request_path: '/watched', strip_request_path: true }
  await ask('DELETE', '/apis/watched')
  await ask('POST', '/apis', { name: 'watched', ...strip, upstream_url: `${upstreamUrl}/v0` })
  const headers = (version: number) => ({ config: { add: { headers: [`X-Version:${version}`] } } })
  const attributes = (version: number) =>
    kind === 'an API' ? { upstream_url: `${upstreamUrl}/v${version}` } : headers(version)
  let target = '/apis/watched'
  if (kind === 'a plugin') {
    await ask('PATCH', target, { upstream_url: `${upstreamUrl}/same` })
    const made = await ask('POST', '/apis/watched/plugins', { name: 'response-transformer', ...headers(0) })
    target = `/apis/watched/plugins/${made.id}`
  }
  return async (version) => {
    await systemClock.sleep(calmMs * (1 + systemRandom.fraction()))
    const sentMs = systemClock.monotonic()
    await ask('PATCH', target, attributes(version))
    const answeredMs = systemClock.monotonic()
    return { version, sentMs, answeredMs, committedMs: await committedMs(database, kind) }
  }
}

/** When the row was last written, as Postgres noted it; how long ago that is, by its own clock, is taken from the time by ours. */
async function committedMs(database: TestDatabase, kind: Kind): Promise<number> {
  const row = kind === 'an API' ? `apis where name = 'watched'` : 'plugins'
  const before = systemClock.monotonic()
  const [{ age = Number.NaN } = {}] = await database.query<{ age: number }>(
    `select (1000 * extract(epoch from clock_timestamp() - pg_xact_commit_timestamp(xmin)))::float8 as age from ${row}`,
  )
  return (before + systemClock.monotonic()) / 2 - age
}
