// A disk of its own for a directory, small enough to be filled: a tmpfs, where mounting is allowed.
import { execFile } from 'node:child_process'
import { mkdir, open, rm, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { codeOf } from '../../../src/base/errors.ts'

const run = promisify(execFile)

export class Disk {
  readonly #path: string

  private constructor(path: string) {
    this.#path = path
  }

  /** Puts `path` and all that is in it on a disk of that size. */
  static async under(path: string, megabytes: number): Promise<Disk> {
    const original = `${path}-original`
    await mkdir(path, { recursive: true })
    await run('mv', [path, original])
    await mkdir(path)
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path])
    await run('cp', ['-a', `${original}/.`, path])
    await rm(original, { recursive: true })
    return new Disk(path)
  }

  /** Leaves room for not one byte more. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, 'w')
    try {
      for (
        let block = Buffer.alloc(1 << 20);
        block.length >= 1;
        block = block.subarray(0, block.length >> 1)
      ) {
        while (await fits(file.write(block)));
      }
    } finally {
      await file.close()
    }
  }

  async free(): Promise<void> {
    await unlink(this.#filler)
  }

  async remove(): Promise<void> {
    await run('umount', ['--lazy', this.#path])
  }

  get #filler(): string {
    return join(this.#path, 'filler')
  }
}

async function fits(writing: Promise<unknown>): Promise<boolean> {
  try {
    await writing
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOSPC') return false
    throw error
  }
}
