// A clock of its own for one process, which can be set while it runs: by libfaketime, where that is installed. What
// is monotonic goes on as it does on a machine whose clock is set.
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where Debian and Ubuntu put it. */
const library = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path))

export class ClockShift {
  static readonly isPossible = library !== undefined
  readonly #dir: string

  private constructor(dir: string) {
    this.#dir = dir
  }

  static async make(): Promise<ClockShift> {
    const shift = new ClockShift(await mkdtemp(join(tmpdir(), 'troop-clock-')))
    await shift.set('+0')
    return shift
  }

  /** What a process needs to live by it. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: library ?? '',
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
  }

  /** @param by  from the machine's clock, e.g. `+1h` */
  async set(by: string): Promise<void> {
    await writeFile(this.#file, `${by}\n`)
  }

  async remove(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true })
  }

  get #file(): string {
    return join(this.#dir, 'offset')
  }
}
