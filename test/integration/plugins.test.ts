// Plugins from files and packages.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { codeOf, describeError, type TroopError } from '../../src/base/errors.ts'
import { loadPlugins, shippedPlugins } from '../../src/plugins/plugins.ts'

describe('loading plugins', () => {
  let directory: string

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'troop-plugins-'))
    const contract = pathToFileURL(resolve('src/plugins/plugin.ts')).href
    const make = `import { definePlugin } from ${JSON.stringify(contract)}\n`
    const files: Record<string, string> = {
      'good.mjs': `${make}export default definePlugin({ name: 'good', phases: {} })`,
      'named.mjs': `${make}export const plugin = definePlugin({ name: 'named', phases: {} })`,
      'taken.mjs': `${make}export default definePlugin({ name: 'key-auth', phases: {} })`,
      'throws.mjs': 'throw new Error("no such luck")',
      'imports.mjs': 'import "not-there-either"',
      'empty.mjs': 'export const nothing = 1',
      'shape.mjs': 'export default { name: "shape", priority: "high" }',
      'syntax.mjs': 'export default {{',
      'field.mjs': `${make}export default definePlugin({ name: 'field', config: { size: { type: 'text' } }, phases: {} })`,
      'inner.mjs': `${make}export default definePlugin({ name: 'inner', phases: {}, config: { add: { type: 'table', fields: { x: 'string' } } } })`,
      'words.mjs': `${make}export default definePlugin({ name: 'words', config: { how: { type: 'string', enum: 'a' } }, phases: {} })`,
      'entity.mjs': `${make}export default definePlugin({ name: 'entity', entities: [{ name: 'x' }], phases: {} })`,
      'twin.mjs': `${make}export default definePlugin({ name: 'twin', entities: [{ name: 'apis', fields: {}, lookups: [] }], phases: {} })`,
      'again.mjs': `${make}export default definePlugin({ name: 'good', phases: {} })`,
      'node_modules/a-package/index.mjs': `${make}export default definePlugin({ name: 'packaged', phases: {} })`,
      'node_modules/a-package/package.json': '{"name":"a-package","exports":"./index.mjs"}',
    }
    await mkdir(join(directory, 'node_modules/a-package'), { recursive: true })
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  })

  after(() => rm(directory, { recursive: true, force: true }))

  const load = (...names: string[]) => loadPlugins(names, directory)
  const names = async (...custom: string[]) => (await load(...custom)).map(({ name }) => name)
  const shipped = shippedPlugins.map(({ name }) => name)
  const failure = (...custom: string[]) =>
    load(...custom).then(
      () => undefined,
      (error: TroopError) => error,
    )

  it('custom ones come after the shipped ones, by path or as package, each once', async () => {
    const custom = ['./good.mjs', join(directory, 'named.mjs'), 'a-package', './good.mjs']
    expect(await names(...custom)).deep.equal([...shipped, 'good', 'named', 'packaged'])
  })

  it('a shipped one named again is not doubled [contract 126]', async () => {
    expect(await names('key-auth', 'file-log')).deep.equal(shipped)
  })

  it('one that is not installed is named, alone or next to an installed one [contract 125]', async () => {
    for (const custom of [['not-there'], ['./good.mjs', 'not-there'], ['./not-there.mjs']]) {
      const error = await failure(...custom)
      expect(codeOf(error)).equal('plugin-not-installed')
      expect(error?.message).equal(
        `The following plugin has been enabled in the configuration but it is not installed on the system: ${custom.at(-1)}`,
      )
    }
  })

  it('one that is broken is named with its cause', async () => {
    for (const [name, cause] of [
      ['./throws.mjs', 'no such luck'],
      ['./imports.mjs', 'not-there-either'],
      ['./empty.mjs', 'exports no plugin'],
      ['./shape.mjs', 'priority must be a number'],
      ['./taken.mjs', 'a plugin key-auth already'],
      ['./syntax.mjs', 'Unexpected token'],
      ['./field.mjs', 'config.size: the type must be one of string, number'],
      ['./inner.mjs', 'config.add.x must be a field'],
      ['./words.mjs', 'config.how: enum must be a list of texts'],
      ['./entity.mjs', 'must be one of defineEntity'],
      ['./twin.mjs', 'an entity apis already'],
      ['./again.mjs', 'a plugin good already'],
    ] as const) {
      const error = await failure('./good.mjs', name)
      expect(codeOf(error), name).equal('plugin-broken')
      expect(describeError(error), name).include(name).include(cause)
    }
  })
})
