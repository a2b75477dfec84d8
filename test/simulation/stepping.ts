// For tests that await what a simulated world brings about, one happening at a time.
import type { Scheduler } from './scheduler.ts'

/** Far more than anything takes that is awaited. */
const turnsMax = 10_000

export interface Stepping {
  until(isTrue: () => boolean, claim: string): Promise<void>
  outcome<T>(promise: Promise<T>): Promise<T>
}

export function stepping(scheduler: Scheduler): Stepping {
  const until = async (isTrue: () => boolean, claim: string) => {
    for (let turns = 0; !isTrue(); turns++) {
      if (turns > turnsMax) throw new Error(`never: ${claim}`)
      scheduler.step()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return {
    until,
    async outcome(promise) {
      let isSettled = false
      const settle = () => {
        isSettled = true
      }
      promise.then(settle, settle)
      await until(() => isSettled, 'an outcome')
      return promise
    },
  }
}
