// Which code a plugin of files is: a hash of what lies in its folder. It stands in the address of its modules, since a
// thread keeps every module that it has once read: another address is what makes it read them again.
import { createHash } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'

/** What modules are made of. */
const endings = new Set(['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs', '.json', '.wasm'])

/** So many entries of folders are looked at, nearest first: a plugin may lie in a folder with all sorts of things. */
const entriesMaxDefault = 2000
/** Of a larger file, size and time of change stand for the content: that is data, not code. */
const bytesMax = 256 * 1024

/**
 * Of the sources in the folder of `entry` and those below it, as hex; hidden folders and `node_modules` are left out. The
 * same sources have the same one, on every node and in every thread.
 */
export async function fingerprintOf(entry: string, entriesMax = entriesMaxDefault): Promise<string> {
  const hash = createHash('sha256')
  const { sources } = await lookNear(entry, entriesMax)
  for (const path of sources) hash.update(`${path}\0`).update(await contentOf(path))
  return hash.digest('hex').slice(0, 16)
}

/** The folders in which those sources lie. */
export async function foldersOf(entry: string): Promise<readonly string[]> {
  return (await lookNear(entry, entriesMaxDefault)).folders
}

/** `entry`, and what is found beside and below it, folder by folder. */
async function lookNear(
  entry: string,
  entriesMax: number,
): Promise<{ sources: string[]; folders: string[] }> {
  const sources = [entry]
  const folders = [dirname(entry)]
  let looked = 0
  for (let i = 0; i < folders.length && looked < entriesMax; i++) {
    for (const one of await entriesOf(folders[i] as string)) {
      if (++looked > entriesMax) break
      const path = join(folders[i] as string, one.name)
      if (one.isDirectory() && !isForeign(one.name)) folders.push(path)
      else if (one.isFile() && endings.has(extname(one.name)) && path !== entry) sources.push(path)
    }
  }
  return { sources, folders }
}

/** Whether what a folder of that name holds is no part of the plugin. */
function isForeign(folder: string): boolean {
  return folder === 'node_modules' || folder.startsWith('.')
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What can't be read counts as empty: that is for whoever loads it to say. */
async function contentOf(path: string): Promise<string | Buffer> {
  try {
    const { size, mtimeMs } = await stat(path)
    return size > bytesMax ? `${size} ${mtimeMs}` : await readFile(path)
  } catch {
    return ''
  }
}
