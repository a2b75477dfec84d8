// From what was written, in a file or in the environment, to values or faults. Pure: reads nothing itself.
import { isIP, isIPv4 } from 'node:net'
import { isAbsolute, join, resolve } from 'node:path'
import { isMap, isScalar, LineCounter, type Pair, parseDocument, type YAMLMap } from 'yaml'
import { parseAddress } from '../base/address.ts'
import { parseDuration } from '../base/duration.ts'
import { ConfigurationUnparsable, type Fault } from './errors.ts'
import { environmentName, type Form, type Setting, type SettingName, settingsList } from './settings.ts'

/** What one place says about one setting, not looked at yet. */
export interface Given {
  readonly name: SettingName
  readonly raw: unknown
  /** `/etc/troop/troop.yml:12` or `TROOP_WORKERS`. */
  readonly place: string
}

export interface Reading {
  readonly given: readonly Given[]
  readonly faults: readonly Fault[]
}

/** Directories that paths are taken from. */
export interface Places {
  readonly home: string
  readonly cwd: string
}

export type Outcome = { readonly value: unknown } | { readonly reason: string; readonly remedy?: string }

/**
 * Reads a file's text. A property without a value counts as not given.
 * @param path  for messages
 * @throws {ConfigurationUnparsable} when it is not YAML, or not a map at its top
 */
export function parseFile(text: string, path: string): Reading {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const error = document.errors[0]
  if (error) throw new ConfigurationUnparsable(path, error.message.split('\n')[0] ?? '')
  if (document.contents === null) return { given: [], faults: [] }
  if (!isMap(document.contents)) {
    throw new ConfigurationUnparsable(path, 'expected properties at the top, such as "workers: 2"')
  }

  const given: Given[] = []
  const faults: Fault[] = []
  const walk = (map: YAMLMap, prefix: string) => {
    for (const pair of map.items as Pair[]) {
      const property = prefix + keyOf(pair)
      const place = `${path}:${lineOf(pair, lines)}`
      const name = settingNamed(property)
      const raw = isScalar(pair.value) ? pair.value.value : pair.value
      if (raw === null) continue
      if (name !== undefined) given.push({ name, raw: plain(pair.value), place })
      else if (!isGroup(property)) faults.push({ ...unknown(property), place })
      else if (isMap(pair.value)) walk(pair.value, `${property}.`)
      else faults.push({ property, reason: 'must be a table', value: shown(plain(pair.value)), place })
    }
  }
  walk(document.contents, '')
  return { given, faults: [...faults, ...repeated(given)] }
}

/** Reads `TROOP_…` variables. An empty one counts as not given. */
export function parseEnvironment(env: Readonly<Record<string, string | undefined>>): Reading {
  const given: Given[] = []
  const faults: Fault[] = []
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith('TROOP_') || !text || isServiceLink(variable, text)) continue
    const name = settingOfVariable(variable)
    if (name !== undefined) given.push({ name, raw: text, place: variable })
    else if (!(variable in otherVariables)) faults.push(unknownVariable(variable))
  }
  return { given, faults: [...faults, ...repeated(given)] }
}

/** Variables that are not settings, and what they are for. */
export const otherVariables: Readonly<Record<string, string>> = {
  TROOP_CONFIG: 'path of the configuration file, where `--config` is not given',
}

/**
 * The value of one setting.
 * @param raw   what a file or a default holds, or the text of an environment variable
 * @param from  values of a file are not coerced: a quoted number is a text. Those of the environment are all
 *              texts: numbers and booleans are read from them, lists are split at commas.
 */
export function parseSetting(
  setting: Setting,
  raw: unknown,
  from: 'file' | 'environment',
  places: Places,
): Outcome {
  const value = from === 'environment' ? coerced(setting, raw as string) : raw
  switch (setting.type) {
    case 'text':
      return parseText(value, setting.choices, setting.form)
    case 'number':
      return parseNumber(value, setting)
    case 'boolean':
      return typeof value === 'boolean' ? { value } : { reason: 'must be a boolean' }
    case 'duration':
      return parseTime(value, setting.minimum)
    case 'address':
      return parseHostPort(value)
    case 'ip-address':
      return parseIpPort(value)
    case 'path':
    case 'file':
      return parsePath(value, places)
    case 'list':
      return parseList(setting.single && typeof value === 'string' ? [value] : value, setting.items)
    case 'ignored':
      return { value: undefined }
  }
}

/** A value as a message may show it: JSON, cut where it gets long. */
export function shown(raw: unknown): string {
  const text = JSON.stringify(raw) ?? String(raw)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function parseText(value: unknown, choices?: readonly string[], form?: Form): Outcome {
  if (typeof value !== 'string') return { reason: 'must be a string' }
  if (choices && !choices.includes(value)) {
    if (value === 'cassandra') {
      return {
        reason: 'cassandra is not supported',
        remedy: 'set it to postgres, or leave it out for the embedded server',
      }
    }
    return { reason: `must be one of: '${choices.join(', ')}'` }
  }
  const wrong = form && forms[form](value)
  return wrong ? { reason: wrong } : { value }
}

function parseNumber(value: unknown, setting: Extract<Setting, { type: 'number' }>): Outcome {
  if (typeof value !== 'number' || !Number.isFinite(value)) return { reason: 'must be a number' }
  if (setting.whole && !Number.isInteger(value)) return { reason: 'must be a whole number' }
  if (value < setting.minimum) return { reason: `must be greater than ${setting.minimum}` }
  if (setting.maximum !== undefined && value > setting.maximum) {
    return { reason: `must be less than ${setting.maximum}` }
  }
  return { value }
}

function parseTime(value: unknown, minimum: string): Outcome {
  const ms = typeof value === 'string' ? parseDuration(value) : undefined
  if (ms === undefined) return { reason: 'must be a duration with its unit, such as 250ms, 1s or 2m' }
  if (ms < (parseDuration(minimum) as number)) return { reason: `must be greater than ${minimum}` }
  // The longest that a timer of the runtime can wait; a longer one would fire at once.
  if (ms > 2 ** 31 - 1) return { reason: 'must be less than 596h' }
  return { value: ms }
}

function parseHostPort(value: unknown): Outcome {
  if (typeof value !== 'string') return { reason: 'must be a string' }
  const address = parseAddress(value)
  return address ? { value: address } : { reason: `${value} is not a valid "host:port" value` }
}

function parseIpPort(value: unknown): Outcome {
  if (typeof value !== 'string') return { reason: 'must be a string' }
  if (value.trim() === '') return { value: undefined }
  const address = parseAddress(value)
  if (!address || !isIPv4(address.host)) return { reason: `${value} is not a valid "ip:port" value` }
  return { value: address }
}

function parsePath(value: unknown, { home, cwd }: Places): Outcome {
  if (typeof value !== 'string') return { reason: 'must be a string' }
  if (value === '~' || value.startsWith('~/')) return { value: join(home, value.slice(1)) }
  return { value: isAbsolute(value) ? resolve(value) : resolve(cwd, value) }
}

function parseList(value: unknown, form?: Form): Outcome {
  if (!Array.isArray(value)) return { reason: 'must be a array' }
  if (!value.every((item) => typeof item === 'string')) return { reason: 'must be a array of strings' }
  const wrong = form === undefined ? [] : value.map(forms[form]).filter((reason) => reason !== undefined)
  return wrong.length > 0 ? { reason: wrong.join(', ') } : { value: Object.freeze([...value]) }
}

/** What is wrong with a text that must mean something. Secrets are not repeated. */
const forms: Readonly<Record<Form, (text: string) => string | undefined>> = {
  'ip-or-cidr': (text) => {
    const [address = '', bits, ...rest] = text.split('/')
    const most = isIP(address) === 4 ? 32 : 128
    const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most)
    return isIP(address) && fits && rest.length === 0
      ? undefined
      : `${text} is not a valid IP address or CIDR range`
  },
  origin: (text) =>
    URL.canParse(text) && new URL(text).origin === text
      ? undefined
      : `${text} is not a valid origin such as "https://admin.example.com"`,
  key: (text) =>
    /^[A-Za-z0-9+/]+={0,2}$/.test(text) && [16, 32].includes(Buffer.from(text, 'base64').length)
      ? undefined
      : 'must be 16 or 32 bytes in base64',
  token: (text) =>
    /^[\x21-\x7e]+$/.test(text) ? undefined : 'must be visible ASCII characters without blanks',
  'postgres-url': (text) =>
    URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol)
      ? undefined
      : 'must be a URL such as postgres://user@host:5432/database',
}

/** What the environment's text stands for; the text itself where it can't stand for the type. */
function coerced(setting: Setting, text: string): unknown {
  if (setting.type === 'number') return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text
  if (setting.type === 'boolean')
    return { true: true, on: true, false: false, off: false }[text.toLowerCase()]
  if (setting.type === 'list') {
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }
  return text
}

function keyOf(pair: Pair): string {
  return String(isScalar(pair.key) ? pair.key.value : pair.key)
}

function lineOf(pair: Pair, lines: LineCounter): number {
  const start = isScalar(pair.key) ? pair.key.range?.[0] : undefined
  return lines.linePos(start ?? 0).line
}

function plain(node: unknown): unknown {
  return node !== null && typeof node === 'object' && 'toJSON' in node
    ? (node as { toJSON(): unknown }).toJSON()
    : node
}

function settingNamed(property: string): SettingName | undefined {
  return settingsList.find(([name, setting]) => name === property || setting.alias === property)?.[0]
}

function settingOfVariable(variable: string): SettingName | undefined {
  return settingsList.find(
    ([name, { alias }]) =>
      environmentName(name) === variable || (alias !== undefined && environmentName(alias) === variable),
  )?.[0]
}

function isGroup(property: string): boolean {
  return settingsList.some(([name]) => name.startsWith(`${property}.`))
}

/** A setting that one file, or the environment, names twice: by its name and by its older one, or in two spellings. */
function repeated(given: readonly Given[]): Fault[] {
  const places = Map.groupBy(given, ({ name }) => name)
  return [...places]
    .filter(([, all]) => all.length > 1)
    .map(([property, all]) => ({
      property,
      reason: `is given ${all.length} times`,
      place: all.map(({ place }) => place).join(' and '),
      remedy: 'keep one of them',
    }))
}

/**
 * Kubernetes sets variables for every service of a namespace; those of a service called `troop` or `troop-…`
 * look like settings and are not meant for us.
 */
function isServiceLink(variable: string, text: string): boolean {
  return (
    /_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/.test(variable) ||
    (variable.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(text))
  )
}

function unknown(property: string): Fault {
  const names = settingsList.flatMap(([name, { alias }]) => (alias ? [name, alias] : [name]))
  return { property, reason: 'unknown property', remedy: suggestion(nearest(property, names)) }
}

function unknownVariable(variable: string): Fault {
  const names = [...settingsList.map(([name]) => environmentName(name)), ...Object.keys(otherVariables)]
  const reason = 'unknown property'
  return { property: variable, reason, place: 'environment', remedy: suggestion(nearest(variable, names)) }
}

function suggestion(name: string | undefined): string {
  return name === undefined ? 'see docs/configuration.md for all of them' : `did you mean ${name}?`
}

/** The name that is fewest edits away, if a slip of the hand could explain it: up to a third of its letters. */
export function nearest(text: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((name) => ({ name, edits: editDistance(text.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const best = ranked[0]
  return best && best.edits <= Math.max(2, best.name.length / 3) ? best.name : undefined
}

/** Insertions, removals and replacements of one letter that turn `a` into `b` (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
