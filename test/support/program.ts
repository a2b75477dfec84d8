// Programs of the system that tests compare with, or drive.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where servers lie, which the path of most people leaves out. */
const besides = ['/usr/local/sbin', '/usr/sbin']

/** The path of a program; undefined, with a notice, where the machine has none. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...besides]
  const path = folders.map((folder) => join(folder, name)).find(isProgram)
  if (path === undefined) console.warn(`      no ${name} on this machine`)
  return path
}

/**
 * The path of a program that the tests of `context` can't do without: they are skipped where it is missing, unless
 * TEST_SKIPS is `none`.
 */
export function requireProgram(context: Mocha.Context, name: string): string {
  const path = findProgram(name)
  if (path !== undefined) return path
  if (process.env.TEST_SKIPS === 'none') throw new Error(`${name} is missing, and nothing may be skipped`)
  return context.skip()
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
