// The port by which a worker has its batches counted by the agent, one at a time.
import type { MessagePort } from 'node:worker_threads'
import { describeError } from '../../base/errors.ts'
import { CountersAway } from '../errors.ts'
import type { BatchAnswer, BatchAsk, CountBatch } from './batch.ts'

type Reply = { readonly answers: readonly BatchAnswer[] } | { readonly failed: string }

/** The agent's end: counts what comes by `port` as long as that is open. */
export function serveCounting(port: MessagePort, count: CountBatch): void {
  port.on('message', async (asks: readonly BatchAsk[]) => {
    const reply = await count(asks).then(
      (answers): Reply => ({ answers }),
      (error): Reply => ({ failed: describeError(error) }),
    )
    port.postMessage(reply)
  })
}

/** The worker's end. The next batch may be sent when the one before it was answered. */
export function countingOver(port: MessagePort): CountBatch {
  return (asks) =>
    new Promise((resolve, reject) => {
      port.once('message', (reply: Reply) => {
        if ('answers' in reply) resolve(reply.answers)
        else reject(new CountersAway(reply.failed))
      })
      port.postMessage(asks)
    })
}
