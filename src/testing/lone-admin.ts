// What the Admin API needs to know of a node, where there is none: a cluster without others, a log in which nothing
// has happened.
import type { AdminOptions } from '../admin/admin.ts'
import type { LogView } from '../admin/log-view.ts'
import { systemClock } from '../base/clock.ts'
import { silentLogger } from '../base/logger.ts'
import { systemRandom } from '../base/random.ts'

/** A log in which nothing has happened. */
const emptyLog: LogView = {
  read: async () => ({ events: [], until: 0, head: emptyLog.applied(), firstKept: 0, digest: null }),
  applied: () => ({ position: 0, digest: '' }),
  watch: () => ({ end() {} }),
}

/** A cluster without members. */
export const emptyCluster: AdminOptions['cluster'] = {
  members: () => [],
  positions: async () => ({ head: 0, digest: '', members: [] }),
  forceLeave: async () => false,
  joinAt: async () => {},
}

export const loneAdmin: Omit<AdminOptions, 'store' | 'streams'> = {
  log: emptyLog,
  plugins: [],
  publish: async () => ({ applied: 1, of: 1, lagging: [] }),
  ackTimeoutMs: 1000,
  cluster: emptyCluster,
  cache: { read: () => undefined, apis: () => undefined, drop() {}, purge() {} },
  status: () => ({
    connections_active: 1,
    connections_reading: 0,
    connections_writing: 1,
    connections_waiting: 0,
    connections_accepted: 3,
    connections_handled: 3,
    total_requests: 7,
  }),
  countNodes: async () => 1,
  health: () => ({
    ready: true,
    workers: { running: 2, wanted: 2, hanging: 0 },
    datastore: { reachable: true },
    position: 7,
  }),
  metrics: async () => '',
  configuration: { admin_api_listen: '127.0.0.1:8001', postgres: { password: '******' } },
  version: '0.1.0',
  hostname: 'gw-1',
  listens: [{ host: '127.0.0.1', port: 0 }],
  tokens: [],
  origins: [],
  insecure: false,
  logger: silentLogger,
  clock: systemClock,
  random: systemRandom,
}
