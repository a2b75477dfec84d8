// Under whose name the embedded server runs. Postgres refuses to run as root, so root hands it to an account
// without privileges, which must then be able to reach what it is to read.
import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../base/errors.ts'
import { NoEmbeddedPostgres } from './errors.ts'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** What `stat` says about a file, as far as permissions go. */
export interface Permissions {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

/** Accounts to run the server under, the best first: one made for it, then the one that owns nothing. */
const names = ['postgres', '_postgres', 'nobody']

/**
 * The account that the server has to run under, or undefined when that is our own.
 * @throws {NoEmbeddedPostgres} when we are root and the system has none of the accounts
 */
export async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const account = findAccount(await readFile('/etc/passwd', 'utf8'))
  if (account) return account
  throw new NoEmbeddedPostgres(
    `postgres does not run as root, and /etc/passwd has none of the accounts ${names.join(', ')}`,
    'add one (useradd --system postgres), start troop as another user, or set postgres.host',
  )
}

/** The first of the accounts for the server in `passwd`, the text of /etc/passwd (passwd(5)). */
export function findAccount(passwd: string): Account | undefined {
  const lines = passwd.split('\n').map((line) => line.split(':'))
  for (const name of names) {
    const line = lines.find((fields) => fields[0] === name)
    if (line?.[2] && line[3]) return { name, uid: Number(line[2]), gid: Number(line[3]) }
  }
  return undefined
}

/** Whether `account` may enter a directory, or run a file, with these permissions. Access lists are not seen. */
export function mayEnter({ uid, gid, mode }: Permissions, account: Account): boolean {
  if (uid === account.uid) return (mode & 0o100) !== 0
  if (gid === account.gid) return (mode & 0o010) !== 0
  return (mode & 0o001) !== 0
}

/**
 * The outermost directory on the way to `path`, itself included, that `account` may not enter.
 * Parts of the path that do not exist yet do not count: whoever makes them decides.
 */
export async function barrier(path: string, account: Account): Promise<string | undefined> {
  for (const part of pathsTo(await realpathOfExisting(path)))
    if (!mayEnter(await stat(part), account)) return part
  return undefined
}

async function realpathOfExisting(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error
    return realpathOfExisting(dirname(path))
  }
}

/** `/a/b` → `/`, `/a`, `/a/b`. */
function pathsTo(path: string): string[] {
  const parent = dirname(path)
  return parent === path ? [path] : [...pathsTo(parent), path]
}
