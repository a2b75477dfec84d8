// Commands that go on until somebody ends them: Ctrl-C is how they end, not how they fail.
import { once } from 'node:events'

/**
 * Resolves when `work` does, or once the process is told to end or nobody reads any more what it prints.
 * @param work  is not waited for then; the signal tells it to begin nothing any more
 */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interrupt = new AbortController()
  const { signal } = interrupt
  const stop = () => interrupt.abort()
  process.on('SIGINT', stop).on('SIGTERM', stop)
  process.stdout.on('error', stop)
  try {
    await Promise.race([work(signal), once(signal, 'abort')])
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
    process.stdout.off('error', stop)
  }
}
