// The log, for those who watch it through the Admin API: its past as the datastore has it, and what the follower
// applies as it comes.
import type { LogPage, LogRequest, LogView, LogWatcher } from '../admin/log-view.ts'
import type { Stamp } from '../base/stamp.ts'
import type { LogEvent } from '../event-log/event.ts'
import { type History, placed } from '../event-log/history.ts'

/** Telling is part of applying, so of a bigger transaction the watchers are told to read it. */
const toldMax = 100

export class EventFeed implements LogView {
  readonly #history: Pick<History, 'read'>
  readonly #watchers = new Set<LogWatcher>()
  #applied: Stamp = { position: -1, digest: '' }

  constructor(history: Pick<History, 'read'>) {
    this.#history = history
  }

  read(request: LogRequest): Promise<LogPage> {
    return this.#history.read(request)
  }

  applied(): Stamp {
    return this.#applied
  }

  watch(watcher: LogWatcher): { end(): void } {
    this.#watchers.add(watcher)
    return { end: () => this.#watchers.delete(watcher) }
  }

  /** One transaction, applied. */
  apply(events: readonly LogEvent[]): void {
    const { position, digest } = events.at(-1) as LogEvent
    this.#applied = { position, digest }
    if (this.#watchers.size === 0) return
    const told = events.length > toldMax ? undefined : events.map(placed)
    for (const watcher of this.#watchers) {
      if (told) watcher.apply(told)
      else watcher.lapse()
    }
  }

  /** All was loaded anew, at a stamp that may be of another history. */
  jump(stamp: Stamp): void {
    this.#applied = stamp
    for (const watcher of this.#watchers) watcher.lapse()
  }
}
