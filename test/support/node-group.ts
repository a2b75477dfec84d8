// Real nodes on one fresh datastore, with an upstream beside them.
import type { JsonObject } from '../../src/base/json.ts'
import { NodeProcess } from './node-process.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'
import { Upstream } from './upstream.ts'

export class NodeGroup {
  readonly database: TestDatabase
  readonly upstream: Upstream
  /** Those that were started, in the order in which they came to serve. */
  readonly nodes: NodeProcess[] = []

  private constructor(database: TestDatabase, upstream: Upstream) {
    this.database = database
    this.upstream = upstream
  }

  static async make(): Promise<NodeGroup> {
    return new NodeGroup(await testDatabase(), await new Upstream().start())
  }

  /** Starts one more node. */
  async start(settings: JsonObject = {}): Promise<NodeProcess> {
    const node = await NodeProcess.start(this.database, settings)
    this.nodes.push(node)
    return node
  }

  /** Ends the nodes and drops the datastore. */
  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.remove()))
    await this.upstream.stop()
    await this.database.drop()
  }
}
