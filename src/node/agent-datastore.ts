// The datastore as an agent uses it, each part by its interface, and the form of them that lies in Postgres.
import type { Clock } from '../base/clock.ts'
import { PostgresRegistry } from '../cluster/membership/postgres-registry.ts'
import type { Registry } from '../cluster/membership/registry.ts'
import type { Database } from '../database/database.ts'
import type { EventLog } from '../event-log/event-log.ts'
import { History } from '../event-log/history.ts'
import type { Subscribe } from '../event-log/listener.ts'
import { PostgresEventLog } from '../event-log/postgres-event-log.ts'
import { PostgresSubscription } from '../event-log/postgres-subscription.ts'
import type { PrunableLog } from '../event-log/prune.ts'
import { PostgresStore } from '../store/postgres-store.ts'
import type { Store } from '../store/store.ts'

export interface AgentDatastore {
  readonly log: EventLog & PrunableLog
  /** The log for people. */
  readonly history: Pick<History, 'read'>
  /** Tells of new events. */
  readonly subscribe: Subscribe
  readonly store: Store
  readonly registry: Registry
}

export function postgresDatastore(database: Database, clock: Clock): AgentDatastore {
  return {
    log: new PostgresEventLog(database),
    history: new History(database),
    subscribe: (hear) => new PostgresSubscription(database, clock, hear),
    store: new PostgresStore(database),
    registry: new PostgresRegistry(database),
  }
}
