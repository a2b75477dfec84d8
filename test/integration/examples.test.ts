// The plugins that docs/writing-plugins.md shows, as their author tries them, and on a datastore.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { loadPlugins } from '../../src/plugins/plugins.ts'
import { startAdminOnPostgres, type TestAdmin } from '../support/admin.ts'
import { root } from '../support/sources.ts'

const folder = join(root, 'test', 'examples')
const files = ['badges', 'masking', 'allowances'].map((name) => join(folder, name, `${name}.ts`))

describe('the plugins of the documentation', function () {
  this.timeout(60_000)

  it('pass their tests, which need nothing but Troop', async () => {
    const args = [join(root, 'src', 'bin.ts'), 'plugin', 'test', folder]
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { stdout } = await promisify(execFile)(process.execPath, args, { env })
    expect(stdout)
      .to.match(/pass 16\n/)
      .match(/fail 0\n/)
  })

  describe('on a datastore', () => {
    let admin: TestAdmin
    before(async () => {
      admin = await startAdminOnPostgres({ plugins: await loadPlugins(files, root) })
      await admin.json('POST', '/consumers', { username: 'bob' })
      await admin.json('POST', '/consumers', { username: 'eve' })
    })
    after(() => admin?.stop())

    const post = async (path: string, body: JsonObject) => {
      const { status, body: answer } = await admin.json('POST', path, body)
      return { status, body: answer }
    }

    it('have their tables, and are told of what their constraints refuse as on the bench', async () => {
      expect((await post('/consumers/bob/badges', { code: 'b-1' })).status).to.equal(201)
      expect(await post('/consumers/eve/badges', { code: 'b-1' })).to.deep.equal({
        status: 409,
        body: { code: "already exists with value 'b-1'" },
      })
      expect((await post('/consumers/bob/allowances', { per_minute: 2 })).status).to.equal(201)
      expect((await post('/consumers/bob/allowances', { per_minute: 3 })).status).to.equal(409)
    })

    it('lose what belongs to a consumer with it', async () => {
      await post('/consumers/eve/badges', { code: 'b-2' })
      await admin.delete('/consumers/eve')
      expect((await admin.get('/status')).body.database).to.include({ badges: 1, allowances: 1 })
    })
  })
})
