// Starting a node in the background: a process of its own that says over a pipe how it gets on, until it serves.
import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { type Clock, within } from '../src/base/clock.ts'
import { systemRandom } from '../src/base/random.ts'
import { prepareWorkingDir, workingDirAt } from '../src/node/working-dir.ts'
import { CouldNotStart } from './errors.ts'
import type { Printer } from './printer.ts'

/** What the process in the background says; after `serving` or `failed` nothing more. */
export type LaunchMessage =
  | { readonly kind: 'progress'; readonly line: string }
  | { readonly kind: 'serving' }
  | { readonly kind: 'failed'; readonly message: string; readonly hint?: string | undefined }

export interface LaunchOptions {
  readonly configPath: string | undefined
  readonly workingDir: string
  /** Gives up on a node that does not serve by then, and ends it. */
  readonly timeoutMs: number
  readonly printer: Printer
  readonly clock: Clock
}

/** Another node's migrations may be waited for, and an embedded server be made. */
export const startTimeoutMs = 15 * 60_000

/**
 * Starts the node and resolves once it serves.
 * @throws {CouldNotStart} when it ended or did not serve in time; no process is left then
 */
export async function launch(options: LaunchOptions): Promise<void> {
  const { configPath, printer, clock, timeoutMs } = options
  const dir = workingDirAt(options.workingDir)
  if (await prepareWorkingDir(dir.path, systemRandom))
    printer.line('info', `Creating working directory at ${dir.path}`)
  // What it prints before its log is open, or when it crashes, belongs into the same file.
  const log = await open(dir.logFile, 'a')
  const entry = process.argv[1] as string
  const args = [
    'start',
    '--foreground',
    '--launched',
    ...(configPath === undefined ? [] : ['-c', configPath]),
  ]
  const child = spawn(process.execPath, [...process.execArgv, entry, ...args], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd, 'ipc'],
  })
  const interrupt = () => child.kill('SIGTERM')
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  const serving = new Promise<void>((resolve, reject) => {
    const hint = `read ${dir.logFile}`
    child.on('message', (message: LaunchMessage) => {
      if (message.kind === 'progress') printer.line('info', message.line)
      if (message.kind === 'serving') resolve()
      if (message.kind === 'failed') reject(new CouldNotStart(message.message, message.hint ?? hint))
    })
    child.once('error', (error) => reject(new CouldNotStart(error.message, hint)))
    child.once('exit', (code, signal) => {
      reject(new CouldNotStart(`the node ended with ${signal ?? `code ${code}`} before it served`, hint))
    })
  })
  try {
    await within(clock, timeoutMs, serving, () => {
      const message = `the node does not serve after ${timeoutMs / 1000} s`
      return new CouldNotStart(message, `read ${dir.logFile}; --timeout gives it longer`)
    })
  } catch (error) {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      child.kill('SIGTERM')
      await within(clock, endLimitMs, ended, () => new Error('it does not end')).catch(() =>
        child.kill('SIGKILL'),
      )
    }
    throw error
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
    await log.close()
    if (child.connected) child.disconnect()
    child.unref()
  }
}

/** A node that gives up releases what it holds: an embedded server takes the longest. */
const endLimitMs = 60_000

/** The other end: tells the process that launched us, if one did and still listens. */
export function tellLauncher(message: LaunchMessage): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected || !process.send) return resolve()
    process.send(message, undefined, undefined, () => resolve())
  })
}
