// What counts requests where no node does: this process alone, in memory.
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { LocalCounters, localCountersBuffer } from '../../src/node/counters/local-counters.ts'
import type { Counters } from '../../src/plugins/plugin.ts'

/** Counters as a worker has them; the cluster's are this process's as well, unless they are given. */
export function testCounters({
  clock = systemClock,
  buffer = localCountersBuffer(1000),
  logger = silentLogger,
  ...given
}: Partial<Counters & ConstructorParameters<typeof LocalCounters>[0]> = {}): Counters {
  const local = new LocalCounters({ buffer, owner: 1, clock, logger })
  return { local, cluster: local, ...given }
}
