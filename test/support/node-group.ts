// Real nodes on one fresh datastore, with an upstream beside them.
import type { JsonObject } from '../../src/base/json.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { NodeProcess } from './node-process.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'

export class NodeGroup {
  readonly database: TestDatabase
  readonly upstream: Upstream
  /** Those that were started, in the order in which they came to serve. */
  readonly nodes: NodeProcess[] = []

  private constructor(database: TestDatabase, upstream: Upstream) {
    this.database = database
    this.upstream = upstream
  }

  /** @param database  dropped with the group; default: one on the server that all tests share */
  static async make(database?: TestDatabase): Promise<NodeGroup> {
    return new NodeGroup(database ?? (await testDatabase()), await new Upstream().start())
  }

  /** Starts one more node. */
  async start(settings: JsonObject = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start(this.database, settings)
    this.nodes.push(node)
    return node
  }

  /** Sees to it that all nodes run, whatever was done to them. */
  async revive(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.revive()))
  }

  /** From now on nobody is notified of a change. */
  async silence(): Promise<void> {
    await this.database.query(
      `do $$ begin
         execute replace(pg_get_functiondef('append_event'::regproc), 'perform pg_notify', 'perform format');
       end $$`,
    )
  }

  /** Ends the nodes and drops the datastore. */
  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.remove()))
    await this.upstream.stop()
    await this.database.drop()
  }
}
