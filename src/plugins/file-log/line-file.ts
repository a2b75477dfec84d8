// A file that lines are appended to without ever holding up whoever has them.
import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import type { Clock } from '../../base/clock.ts'
import { within } from '../../base/clock.ts'
import { LostRecords, type LostRecordsHost } from '../lost-records.ts'

/** Text kept while the disk is slow: some ten thousand records. What comes on top is dropped and counted. */
const queuedCharsMax = 16 * 1024 * 1024

/** How often it is looked whether the file was moved away; a rotation loses nothing, it is only seen later. */
const checkEveryMs = 1000

/** How long a file that can't be written to is left alone. */
const retryAfterMs = 1000

/**
 * For so long lines are gathered after a write: each takes one of the few threads that Node has for files, and wakes it
 * and the worker, whatever it holds. Longer costs less, and more lines are lost with a process that is killed.
 */
const gatherMs = 20

/** How long `close` waits for the disk. */
const closeWithinMs = 5000

// The system puts each write at the end of the file, so that threads do not overwrite each other. Opening a pipe
// that nobody reads must fail rather than wait: it would take one of the few threads that Node has for files.
const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

export class LineFile {
  readonly #path: string
  readonly #clock: Clock
  readonly #lost: LostRecords
  #handle: FileHandle | undefined
  #queued: string[] = []
  #queuedChars = 0
  /** The write that is going on; it takes what is queued until nothing is. */
  #writing: Promise<void> | undefined
  #checkedAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY
  readonly #closing = new AbortController()

  constructor(path: string, host: LostRecordsHost) {
    this.#path = path
    this.#clock = host.clock
    this.#lost = new LostRecords(host, 'log records were dropped: the file does not take them', { path })
  }

  /** Queues `line`, without its newline; never throws. */
  append(line: string): void {
    const failing =
      this.#failedAt !== Number.NEGATIVE_INFINITY && this.#clock.monotonic() - this.#failedAt < retryAfterMs
    if (failing || this.#queuedChars + line.length > queuedCharsMax) {
      this.#lost.add(1)
      return
    }
    this.#queued.push(line)
    this.#queuedChars += line.length
    this.#writing ??= this.#writeAll()
  }

  /** Writes what is queued and closes the file; gives up on a disk that does not answer in time. */
  async close(): Promise<void> {
    this.#closing.abort()
    const written = this.#writing ?? Promise.resolve()
    const late = () => new Error(`${this.#path} took no more lines within ${closeWithinMs} ms`)
    try {
      await within(this.#clock, closeWithinMs, written, late)
      await this.#release()
    } finally {
      this.#lost.say()
    }
  }

  async #writeAll(): Promise<void> {
    while (this.#queued.length > 0) {
      const lines = this.#queued
      this.#queued = []
      const chars = this.#queuedChars
      try {
        await (await this.#current()).appendFile(`${lines.join('\n')}\n`)
      } catch (error) {
        this.#failedAt = this.#clock.monotonic()
        await this.#release()
        this.#lost.add(lines.length, error)
      }
      // What is being written counts until it is.
      this.#queuedChars -= chars
      await this.#clock.sleep(gatherMs, this.#closing.signal)
    }
    this.#writing = undefined
  }

  /** The file that has the path now: opened anew when the one we hold was moved away or deleted. */
  async #current(): Promise<FileHandle> {
    const now = this.#clock.monotonic()
    if (this.#handle && now - this.#checkedAt >= checkEveryMs) {
      this.#checkedAt = now
      const [held, named] = await Promise.all([this.#handle.stat(), stat(this.#path).catch(() => undefined)])
      if (held.ino !== named?.ino || held.dev !== named.dev) await this.#release()
    }
    if (!this.#handle) {
      this.#handle = await open(this.#path, flags, 0o644)
      this.#checkedAt = now
    }
    return this.#handle
  }

  async #release(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    // A handle that fails to close is gone all the same.
    await handle?.close().catch(() => {})
  }
}
