// Notices that the code of custom plugins was changed.
import { watch } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Clock, Timer } from '../base/clock.ts'

/** The code of the custom plugins, as it is at one moment. */
export interface PluginCode {
  readonly versions: Readonly<Record<string, string>>
  readonly folders: readonly string[]
}

export interface PluginWatchOptions {
  readonly look: () => Promise<PluginCode>
  /** Calls `stirred` whenever something in the folder changes, until what it returns is called. Default: the system's. */
  readonly watchFolder?: (folder: string, stirred: () => void) => () => void
  /** Called when the code is another one, and again only once it has resolved. */
  readonly changed: () => Promise<void>
  readonly clock: Clock
}

/** An editor writes a file in several steps, and a person saves several files. */
const settleMs = 150

export class PluginWatch {
  readonly #options: PluginWatchOptions
  readonly #watched = new Map<string, () => void>()
  #versions: PluginCode['versions'] = {}
  #timer: Timer | undefined
  /** Resolves when nothing is looked at, nor told. */
  #busy: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(options: PluginWatchOptions) {
    this.#options = options
  }

  /** What there is now is not told; what differs from it will be. */
  async start(): Promise<void> {
    const { versions, folders } = await this.#options.look()
    this.#versions = versions
    this.#follow(folders)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#follow([])
    await this.#busy
  }

  #stirred(): void {
    if (this.#isStopped) return
    this.#timer?.cancel()
    this.#timer = this.#options.clock.after(settleMs, () => {
      this.#busy = this.#busy.then(() => this.#check()).catch(() => undefined)
    })
  }

  async #check(): Promise<void> {
    const { versions, folders } = await this.#options.look()
    if (this.#isStopped) return
    this.#follow(folders)
    if (isDeepStrictEqual(versions, this.#versions)) return
    this.#versions = versions
    await this.#options.changed()
  }

  /** Watches these folders, and no others. */
  #follow(folders: readonly string[]): void {
    const { watchFolder = systemWatch } = this.#options
    for (const [folder, release] of this.#watched) {
      if (folders.includes(folder)) continue
      release()
      this.#watched.delete(folder)
    }
    for (const folder of folders) {
      if (!this.#watched.has(folder))
        this.#watched.set(
          folder,
          watchFolder(folder, () => this.#stirred()),
        )
    }
  }
}

/** A folder that can't be watched, or is gone, stirs no more. */
function systemWatch(folder: string, stirred: () => void): () => void {
  try {
    const watcher = watch(folder, stirred)
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  } catch {
    return () => {}
  }
}
