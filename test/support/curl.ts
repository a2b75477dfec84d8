// curl, as people call it.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** What it prints. Rejects, with what it says on stderr, when it fails. */
export async function curl(...args: readonly string[]): Promise<string> {
  const all = ['--silent', '--show-error', '--max-time', '10', ...args]
  const { stdout } = await promisify(execFile)('curl', all, { maxBuffer: 64 * 1024 * 1024 })
  return stdout
}
