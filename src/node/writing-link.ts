// The port by which a worker has rows written by the agent, which holds the connections to the datastore.
import type { MessagePort } from 'node:worker_threads'
import { codeOf, describeError } from '../base/errors.ts'
import type { Writer } from '../plugins/plugin.ts'
import { WriteFailed } from './errors.ts'
import { byEntity, type RowWriter } from './row-writer.ts'

interface Ask {
  readonly id: number
  readonly act: keyof RowWriter
  readonly given: readonly unknown[]
}

type Reply = { readonly id: number } & (
  | { readonly result: unknown }
  | { readonly failed: string; readonly code: string | undefined }
)

/** The agent's end: writes what comes by `port` as long as that is open. */
export function serveWriting(port: MessagePort, writer: RowWriter): void {
  port.on('message', async ({ id, act, given }: Ask) => {
    const write = writer[act] as (...given: readonly unknown[]) => Promise<unknown>
    const reply = await write(...given).then(
      (result): Reply => ({ id, result }),
      (error): Reply => ({ id, failed: describeError(error), code: codeOf(error) }),
    )
    port.postMessage(reply)
  })
}

/** The worker's end. It is answered as long as there is an agent, without which there is no worker either. */
export function writingOver(port: MessagePort): Writer {
  const asked = new Map<number, PromiseWithResolvers<unknown>>()
  let lastId = 0
  port.on('message', (reply: Reply) => {
    const waiter = asked.get(reply.id)
    asked.delete(reply.id)
    if ('result' in reply) waiter?.resolve(reply.result)
    else waiter?.reject(new WriteFailed(reply.failed, reply.code))
  })
  const ask = <A extends keyof RowWriter>(
    act: A,
    ...given: Parameters<RowWriter[A]>
  ): ReturnType<RowWriter[A]> => {
    const waiter = Promise.withResolvers<unknown>()
    asked.set(++lastId, waiter)
    port.postMessage({ id: lastId, act, given } satisfies Ask)
    return waiter.promise as ReturnType<RowWriter[A]>
  }
  return byEntity({
    update: (...given) => ask('update', ...given),
    insert: (...given) => ask('insert', ...given),
    exchange: (...given) => ask('exchange', ...given),
  })
}
