// What is right: how states of the datastore follow each other, and what a request must be answered at each of them.
import type { JsonObject, Row } from '../../src/base/json.ts'
import type { State } from './datastore.ts'
import { clientAddress, type Question } from './request.ts'
import { rowsOf, type Tables } from './tables.ts'

/** Whether `later` is `earlier`, or came after it in the same history. */
export function isAtOrAfter(later: State, earlier: State): boolean {
  let state: State | undefined = later
  while (state && state.position > earlier.position) state = state.before
  return state === earlier
}

const known = new WeakMap<State, Map<string, string>>()

/** What comes of a request when the state is all that is known, as `sendTo` puts it. */
export function answerAt(state: State, { path, key, text }: Question): string {
  let answers = known.get(state)
  if (!answers) {
    answers = new Map()
    known.set(state, answers)
  }
  let answer = answers.get(text)
  if (answer === undefined) {
    answer = decide(state, path, key)
    answers.set(text, answer)
  }
  return answer
}

function decide({ tables }: State, path: string, key: string | undefined): string {
  const [api] = rowsOf(tables, 'apis', { request_path: path })
  if (!api) return '404'
  const guard = guardOf(tables, api)
  const upstream = String(api.upstream_url).replace('http://', '')
  if (!guard) return `200 ${upstream} nobody`
  if (key === undefined) return '401'
  const [credential] = rowsOf(tables, 'keyauth_credentials', { key })
  if (!credential || isLockedOut(tables, api, credential)) return '403'
  return `200 ${upstream} ${credential.consumer_id}`
}

function guardOf(tables: Tables, { id }: Row): Row | undefined {
  const guards = rowsOf(tables, 'plugins', { name: 'key-auth' })
  return guards.find(({ api_id }) => api_id === id || api_id === null)
}

/** What is said of the consumer at this API goes before what is said of it at all. */
function isLockedOut(tables: Tables, { id }: Row, { consumer_id }: Row): boolean {
  const rows = rowsOf(tables, 'plugins', { name: 'ip-restriction', consumer_id: consumer_id as string })
  const restriction = rows.find(({ api_id }) => api_id === id) ?? rows.find(({ api_id }) => api_id === null)
  if (!restriction) return false
  return !((restriction.config as JsonObject).whitelist as string[]).includes(clientAddress)
}

/** The keys under which what `answerAt` needs is cached. */
export function keysFor({ tables }: State, { path, key }: Question): string[] {
  const [api] = rowsOf(tables, 'apis', { request_path: path })
  if (!api) return []
  const keys = [`plugins:${api.id}`]
  const guard = guardOf(tables, api)
  if (!guard || key === undefined) return keys
  keys.push(`keyauth_credentials:${key}`)
  const [credential] = rowsOf(tables, 'keyauth_credentials', { key })
  const consumer = credential?.consumer_id
  return credential ? [...keys, `consumers:${consumer}`, `consumer_plugins:${consumer}`] : keys
}

/** What is cached under a key at a state: a row, or the plugins of an API or of a consumer; null when there is none. */
export function valueAt({ tables }: State, key: string): Row | Row[] | null {
  const [family, value] = key.split(':') as [string, string]
  if (family === 'plugins') {
    const isOf = ({ api_id }: Row) => api_id === value || api_id === null
    return rowsOf(tables, family, { consumer_id: null }).filter(isOf)
  }
  if (family === 'consumer_plugins') return rowsOf(tables, 'plugins', { consumer_id: value })
  const column = family === 'consumers' ? 'id' : 'key'
  return rowsOf(tables, family, { [column]: value })[0] ?? null
}
