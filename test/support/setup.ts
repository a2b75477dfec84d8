// Runs around a whole run of mocha, whatever files it was given (.mocharc.json).
import { removeServers } from './postgres.ts'

export function mochaGlobalSetup(): void {
  // Mocha hands rejections that nobody handles back to the process and goes on. Thrown, they are uncaught
  // exceptions, and those fail the test that runs.
  process.on('unhandledRejection', rethrow)
}

export async function mochaGlobalTeardown(): Promise<void> {
  process.off('unhandledRejection', rethrow)
  await removeServers()
  const leftBehind = () => {
    console.error('a test left something open:', process.getActiveResourcesInfo())
    process.exit(1)
  }
  // Mocha ends when nothing is left to wait for; what keeps it after this was left open by a test.
  setTimeout(leftBehind, exitLimitMs).unref()
}

/** Connections that were just closed are gone long before. */
const exitLimitMs = 10_000

function rethrow(reason: unknown): never {
  throw reason instanceof Error ? reason : new Error(`rejected and unhandled: ${String(reason)}`)
}
