import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { root } from '../../support/sources.ts'

/** Prints every package that is asked for, and by which module. */
const watch = `import { registerHooks } from 'node:module'
registerHooks({
  resolve(name, context, next) {
    if (/^[a-z@]/.test(name) && !name.startsWith('node:')) console.log(name, 'by', context.parentURL)
    return next(name, context)
  },
})`

describe('a worker thread', () => {
  it('loads nothing that only the agent needs: it starts in half of the time', async () => {
    const worker = join(root, 'src', 'node', 'worker.ts')
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...['--import', `data:text/javascript,${encodeURIComponent(watch)}`],
      ...['--input-type=module', '--eval', `await import('${worker}').catch(() => {})`],
    ])
    expect(stdout).to.contain('quick-lru by')
    const needless = stdout.split('\n').filter((line) => /^(kysely|pg|koa|zod|@koa|@oclif)/.test(line))
    expect(needless).to.deep.equal([])
  })
})
