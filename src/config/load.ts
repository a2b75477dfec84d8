// Where a configuration comes from: a file, the environment over it, defaults under both.
import { access, constants, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { codeOf } from '../base/errors.ts'
import { ConfigurationMissing, type Fault, type Notice } from './errors.ts'
import {
  type Given,
  type Outcome,
  type Places,
  parseEnvironment,
  parseFile,
  parseSetting,
  type Reading,
  shown,
} from './parse.ts'
import { type Setting, type SettingName, settings, settingsList, type Values } from './settings.ts'

/** Read when it exists and no other file is named. */
export const defaultPath = '/etc/troop/troop.yml'

/** What a load depends on besides the file; by default what the process was started with. */
export interface LoadOptions {
  /** The file that must be read; else `TROOP_CONFIG`, else the default path if it exists. */
  readonly path?: string | undefined
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly home?: string
  readonly cwd?: string
  /** Files that a node may have open; undefined: as many as it likes. Default: as this process. */
  readonly openFilesMax?: number | undefined
}

/** All settings, right ones with their values and wrong ones as faults; nothing is judged together yet. */
export interface Loaded {
  /** Absolute; undefined when there is no file. */
  readonly path: string | undefined
  readonly values: Values
  /** What was given rather than taken from the defaults. */
  readonly given: ReadonlySet<SettingName>
  readonly faults: readonly Fault[]
  readonly notices: readonly Notice[]
}

/**
 * Reads file and environment.
 * @throws {ConfigurationMissing} when a file was named and can't be read
 * @throws {ConfigurationUnparsable} when it is not YAML
 */
export async function load(options: LoadOptions = {}): Promise<Loaded> {
  const { env = process.env, home = homedir(), cwd = process.cwd() } = options
  const path = await findFile(options)
  const fromFile = path === undefined ? nothing : parseFile(await read(path), path)
  const fromEnvironment = parseEnvironment(env)
  const merged = merge(fromFile, fromEnvironment, { home, cwd })
  return { ...merged, path, faults: [...merged.faults, ...(await unreadableFiles(merged))] }
}

const nothing: Reading = { given: [], faults: [] }

/** The file to read, absolute; undefined when none is named and the default one does not exist. */
export async function findFile(options: LoadOptions): Promise<string | undefined> {
  const { env = process.env, cwd = process.cwd() } = options
  const named = options.path ?? env.TROOP_CONFIG
  if (named) return resolve(cwd, named)
  return access(defaultPath).then(
    () => defaultPath,
    () => undefined,
  )
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw codeOf(error) === 'ENOENT' ? new ConfigurationMissing(path) : new ConfigurationMissing(path, error)
  }
}

type Merged = Omit<Loaded, 'path'> & { readonly places: ReadonlyMap<SettingName, string> }

/** The environment goes over the file, both over the defaults. */
function merge(fromFile: Reading, fromEnvironment: Reading, places: Places): Merged {
  const faults: Fault[] = [...fromFile.faults, ...fromEnvironment.faults]
  const notices: Notice[] = []
  const values: Record<string, unknown> = {}
  const given = new Map<SettingName, string>()

  for (const [name, setting] of settingsList) values[name] = defaultValue(setting, places)
  const take = ({ name, raw, place }: Given, from: 'file' | 'environment') => {
    const setting: Setting = settings[name]
    const outcome = parseSetting(setting, raw, from, places)
    if ('reason' in outcome) {
      faults.push({ property: name, ...outcome, place, value: valueFor(outcome, setting, raw) })
      return
    }
    if (setting.inert !== undefined) notices.push({ property: name, place, reason: setting.inert })
    if (outcome.value === undefined) return
    values[name] = outcome.value
    given.set(name, place)
  }
  for (const one of fromFile.given) take(one, 'file')
  for (const one of fromEnvironment.given) take(one, 'environment')

  return { values: values as Values, given: new Set(given.keys()), places: given, faults, notices }
}

function defaultValue(setting: Setting, places: Places): unknown {
  if (!('default' in setting) || setting.default === undefined) return undefined
  const outcome = parseSetting(setting, setting.default, 'file', places)
  if ('reason' in outcome) throw new TypeError(`a default is not valid: ${outcome.reason}`)
  return outcome.value
}

/** What a message shows of a wrong value: nothing where the reason says it already. */
function valueFor(outcome: Outcome & { reason: string }, setting: Setting, raw: unknown): string | undefined {
  if (setting.secret) return '******'
  return typeof raw === 'string' && outcome.reason.includes(raw) ? undefined : shown(raw)
}

async function unreadableFiles({ values, places }: Merged): Promise<Fault[]> {
  const faults: Fault[] = []
  for (const [name, setting] of settingsList) {
    const path = values[name]
    if (setting.type !== 'file' || path === undefined) continue
    await access(path as string, constants.R_OK).catch((error) => {
      const reason = codeOf(error) === 'ENOENT' ? 'there is no such file' : 'the file cannot be read'
      faults.push({ property: name, reason, value: path as string, place: places.get(name) })
    })
  }
  return faults
}
