// An Admin API whose log is real: on Postgres, followed, and told to those who watch.
import type { AdminOptions } from '../../src/admin/admin.ts'
import type { LogEvent } from '../../src/event-log/event.ts'
import { History } from '../../src/event-log/history.ts'
import type { PostgresEventLog } from '../../src/event-log/postgres-event-log.ts'
import { EventFeed } from '../../src/node/event-feed.ts'
import { PostgresStore } from '../../src/store/postgres-store.ts'
import { startAdmin, type TestAdmin } from './admin.ts'
import { openDatabase, Recorder } from './log.ts'
import { type LogNode, startNode } from './log-node.ts'
import type { TestDatabase } from './postgres.ts'

export interface EventNode {
  readonly admin: TestAdmin
  readonly node: LogNode
  readonly feed: EventFeed
  stop(): Promise<void>
}

/** As the agent does it: what is applied is told, and that all was loaded anew. */
class Teller extends Recorder {
  readonly #feed: EventFeed

  constructor(log: PostgresEventLog, feed: EventFeed) {
    super(log)
    this.#feed = feed
  }

  override apply(events: readonly LogEvent[]): void {
    super.apply(events)
    this.#feed.apply(events)
  }

  override async load(reason: string) {
    const stamp = await super.load(reason)
    this.#feed.jump(stamp)
    return stamp
  }
}

export async function startEventNode(
  test: TestDatabase,
  options: Partial<AdminOptions> = {},
): Promise<EventNode> {
  const database = openDatabase(test)
  const feed = new EventFeed(new History(database))
  const node = await startNode(test, { makeSubscriber: (log) => new Teller(log, feed) })
  const admin = await startAdmin(new PostgresStore(database), { log: feed, ...options })
  return {
    ...{ admin, node, feed },
    async stop() {
      await admin.stop()
      await node.stop()
      await database.stop()
    },
  }
}
