// The port by which a worker has rows written by the agent, which holds the connections to the datastore.
import type { MessagePort } from 'node:worker_threads'
import { describeError } from '../base/errors.ts'
import type { Row } from '../base/json.ts'
import type { Writer } from '../plugins/plugin.ts'
import { WriteFailed } from './errors.ts'

/** Changes the row of `entity` that has all of `where`; resolves to whether there was one. */
export type UpdateRow = (
  entity: string,
  where: Readonly<Record<string, string>>,
  values: Row,
) => Promise<boolean>

interface Ask {
  readonly id: number
  readonly update: Parameters<UpdateRow>
}

type Reply = { readonly id: number } & ({ readonly found: boolean } | { readonly failed: string })

/** The agent's end: writes what comes by `port` as long as that is open. */
export function serveWriting(port: MessagePort, update: UpdateRow): void {
  port.on('message', async ({ id, update: asked }: Ask) => {
    const reply = await update(...asked).then(
      (found): Reply => ({ id, found }),
      (error): Reply => ({ id, failed: describeError(error) }),
    )
    port.postMessage(reply)
  })
}

/** The worker's end. It is answered as long as there is an agent, without which there is no worker either. */
export function writingOver(port: MessagePort): Writer {
  const asked = new Map<number, PromiseWithResolvers<boolean>>()
  let lastId = 0
  port.on('message', (reply: Reply) => {
    const waiter = asked.get(reply.id)
    asked.delete(reply.id)
    if ('found' in reply) waiter?.resolve(reply.found)
    else waiter?.reject(new WriteFailed(reply.failed))
  })
  return {
    update(entity, where, values) {
      const waiter = Promise.withResolvers<boolean>()
      asked.set(++lastId, waiter)
      port.postMessage({ id: lastId, update: [entity.name, where, values] } satisfies Ask)
      return waiter.promise
    },
  }
}
