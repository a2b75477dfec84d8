// The part of a node that follows the log, on a real one.
import { expect } from 'chai'
import type { Database } from '../../src/database/database.ts'
import { Follower } from '../../src/event-log/follower.ts'
import { Listener } from '../../src/event-log/listener.ts'
import { PostgresEventLog } from '../../src/event-log/postgres-event-log.ts'
import { PostgresSubscription } from '../../src/event-log/postgres-subscription.ts'
import { Pull } from '../../src/event-log/pull.ts'
import { openDatabase, parts, Recorder, until } from './log.ts'
import type { TestDatabase } from './postgres.ts'

export interface LogNode {
  readonly database: Database
  readonly log: PostgresEventLog
  readonly subscriber: Recorder
  readonly follower: Follower
  readonly pull: Pull
  stop(): Promise<void>
}

/** Starts a node's view of the log. Without `listening`, only the head that is read every `heartbeatIntervalMs` tells of news. */
export async function startNode(
  test: TestDatabase,
  {
    listening = false,
    heartbeatIntervalMs = 50,
    port = test.port,
    makeSubscriber = (log: PostgresEventLog) => new Recorder(log),
  } = {},
): Promise<LogNode> {
  const database = openDatabase(test, { connectTimeoutMs: 1000, queryTimeoutMs: 2000, port })
  const log = new PostgresEventLog(database)
  const subscriber = makeSubscriber(log)
  const follower = new Follower({ ...parts, log, subscriber })
  const pull = new Pull({ ...parts, log, follower }, { heartbeatIntervalMs })
  const listener = new Listener({
    ...parts,
    subscribe: (hear) => new PostgresSubscription(database, parts.clock, hear),
    onNews: (position) => follower.nudge(position),
  })
  if (listening) await listener.start()
  await follower.start()
  pull.start()
  return {
    ...{ database, log, subscriber, follower, pull },
    async stop() {
      pull.stop()
      follower.stop()
      await listener.stop()
      await database.stop()
    },
  }
}

/** Waits until the node has applied all that there is, with the log's own digest. */
export async function atHead({ follower }: LogNode, test: TestDatabase): Promise<void> {
  const [head] = await test.query(
    `select position::int, encode(digest, 'hex') as digest from events order by position desc limit 1`,
  )
  await until(() => follower.applied().position >= head.position)
  expect(follower.applied()).to.deep.equal(head)
}
