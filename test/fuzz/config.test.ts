// Whatever stands in a configuration file or in the environment: a configuration, or faults that name the settings.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { codeOf } from '../../src/base/errors.ts'
import { configurationTable, loadConfig } from '../../src/config/config.ts'
import { ConfigurationInvalid, describeFaults } from '../../src/config/errors.ts'
import { anyJson, isUnpolluted, runs } from './runs.ts'

const names = configurationTable().map(({ name }) => name)
const likely = fc.constantFrom(
  ...[
    '127.0.0.1:80',
    '0.0.0.0:0',
    '[::1]:443',
    ':::',
    '1s',
    '250ms',
    '-1s',
    '1e9s',
    'true',
    'lan',
    'postgres',
  ],
  ...['~', '~/x', '/', '10.0.0.0/8', 'http://a', 'AAAAAAAAAAAAAAAAAAAAAA==', '\0', '0', '65536', 'off'],
)
const setting = fc.tuple(fc.constantFrom(...names), fc.oneof(likely, anyJson))

describe('configuration', () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'troop-fuzz-'))
  })
  after(() => rm(directory, { recursive: true }))

  /** Loads it; undefined when it is refused, as it should be. */
  const load = async (text: string, env: Record<string, string> = {}) => {
    const path = join(directory, 'troop.yml')
    await writeFile(path, text)
    try {
      return await loadConfig({ path, env, home: '/home/me', cwd: directory })
    } catch (error) {
      expect(codeOf(error), String((error as Error).stack)).to.match(/^configuration-/)
      if (error instanceof ConfigurationInvalid) {
        expect(error.faults).not.to.have.length(0)
        for (const { cause } of describeFaults(error.faults))
          expect(cause).to.be.a('string').and.not.equal('')
      }
      return undefined
    } finally {
      expect(isUnpolluted()).to.equal(true)
    }
  }

  it('of any text is loaded or refused by name', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc
        .array(fc.constantFrom(...'\n -:[]{}&*!|>\'"%@`#?,<~ab1', '<<: ', '&a ', '*a', '!!js/function '), {
          maxLength: 30,
        })
        .map((parts) => parts.join('')),
      anyJson.map((value) => stringify(value)),
    )
    await fc.assert(
      fc.asyncProperty(text, (some) => load(some).then(() => {})),
      runs(300),
    )
  })

  it('of any values of its settings is loaded or refused, with the setting named', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(setting, { minLength: 1, maxLength: 4 }), async (some) => {
        const given = Object.fromEntries(some)
        await load(
          Object.entries(given)
            .map(([name, value]) => `${nested(name, value)}`)
            .join(''),
        )
        const one = some[0] as [string, unknown]
        await load(nested(...one)).catch((error) => {
          throw new Error(`${one[0]}: ${error}`)
        })
      }),
      runs(150),
    )
  })

  it('of any environment is loaded or refused by name', async () => {
    const variable = fc.oneof(
      fc.constantFrom(...names).map((name) => `TROOP_${name.toUpperCase().replace(/[.-]/g, '_')}`),
      fc.string({ maxLength: 8 }).map((text) => `TROOP_${text}`),
    )
    await fc.assert(
      fc.asyncProperty(fc.dictionary(variable, fc.oneof(likely, fc.string())), (env) =>
        load('', env).then(() => {}),
      ),
      runs(150),
    )
  })

  it('is the same again when it is written as it was read', async () => {
    const scalar = fc.constantFrom<readonly [string, unknown]>(
      ['workers', 3],
      ['log_level', 'debug'],
      ['proxy_listen', '127.0.0.1:8123'],
      ['memory_cache_size', 64],
    )
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(scalar, { selector: ([name]) => name }), async (some) => {
        const once = await load(stringify(Object.fromEntries(some)))
        const again = await load(stringify(JSON.parse(JSON.stringify(Object.fromEntries(some)))))
        expect(again?.config).to.deep.equal(once?.config)
      }),
      runs(20),
    )
  })
})

/** `a.b` and a value as YAML, which JSON is. */
function nested(name: string, value: unknown): string {
  const [top, rest] = name.split(/\.(.*)/s) as [string, string | undefined]
  return `${top}: ${JSON.stringify(rest === undefined ? value : { [rest]: value })}\n`
}
