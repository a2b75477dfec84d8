// How long it takes until a change is served: nodes are asked for it, each one request after the other, until their
// proxies know it.
import { systemClock } from '../../../src/base/clock.ts'
import { systemRandom } from '../../../src/base/random.ts'
import type { Answered } from '../../support/raw-http.ts'
import type { Fleet } from './fleet.ts'
import { type Way, Writer } from './writer.ts'

/** One change. Times are on the monotonic clock. */
export interface Served {
  readonly sentMs: number
  readonly answeredMs: number
  /** When the first answer by the new state had come, from each node other than the writer. */
  readonly seenMs: readonly number[]
  /** Nodes whose first answer to a request sent after the write's answer was by the old state. */
  readonly stale: number
}

export interface ServingOptions {
  readonly rounds: number
  readonly way: Way
  /** Between two requests to one node. Default 0: as fast as it answers. */
  readonly pauseMs?: number
}

/** Between two changes: what the one before caused is over by then. */
const settleMs = 50
/** The first changes make connections, and are not counted. */
const warmUps = 3

export async function timeServing(fleet: Fleet, options: ServingOptions): Promise<readonly Served[]> {
  const { rounds, way, pauseMs = 0 } = options
  const watched = way === 'commit' ? fleet.nodes : fleet.nodes.slice(1)
  const clients = watched.map((node) => fleet.client(node.proxy))
  const all: Served[] = []
  const writer = new Writer(fleet)
  try {
    for (let round = -warmUps; round < rounds; round++) {
      await systemClock.sleep(settleMs)
      const name = `served-${systemRandom.hex(6)}`
      const sentMs = systemClock.monotonic()
      let isAnswered = false
      const written = writer.write(way, name).then(() => {
        isAnswered = true
        return systemClock.monotonic()
      })
      const watching = clients.map((client) =>
        watch(() => client(`/${name}`), { written, isAnswered: () => isAnswered, pauseMs }),
      )
      const [answeredMs, ...sightings] = await Promise.all([written, ...watching])
      const seenMs = sightings.map(({ atMs }) => atMs)
      const stale = sightings.filter((sighting) => sighting.stale).length
      if (round >= 0) all.push({ sentMs, answeredMs, seenMs, stale })
    }
    return all
  } finally {
    await writer.stop()
  }
}

interface Watching {
  /** The write's answer, and whether it has come. */
  readonly written: Promise<unknown>
  readonly isAnswered: () => boolean
  readonly pauseMs: number
}

/** Asks until the new state is seen, and until one request was sent after the write was answered. */
async function watch(
  ask: () => Promise<Answered>,
  { written, isAnswered, pauseMs }: Watching,
): Promise<{ readonly atMs: number; readonly stale: boolean }> {
  let atMs: number | undefined
  let stale: boolean | undefined
  while (atMs === undefined || stale === undefined) {
    const isAfter = isAnswered()
    const isServed = (await ask()).status !== 404
    if (isServed) atMs ??= systemClock.monotonic()
    if (isAfter) stale ??= !isServed
    if (atMs !== undefined) await written
    else if (pauseMs > 0) await systemClock.sleep(pauseMs)
  }
  return { atMs, stale }
}
