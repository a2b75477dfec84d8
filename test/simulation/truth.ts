// What is right: how states of the datastore follow each other, and what a request must be answered at each of them.
import type { Row } from '../../src/base/json.ts'
import type { State } from './datastore.ts'
import type { Question } from './request.ts'
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
  return credential ? `200 ${upstream} ${credential.consumer_id}` : '403'
}

function guardOf(tables: Tables, { id }: Row): Row | undefined {
  return rowsOf(tables, 'plugins', { api_id: id as string, name: 'key-auth' })[0]
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
  return credential ? [...keys, `consumers:${credential.consumer_id}`] : keys
}

/** What is cached under a key at a state: a row, or the rows of an API's plugins; null when there is none. */
export function valueAt({ tables }: State, key: string): Row | Row[] | null {
  const [family, value] = key.split(':') as [string, string]
  if (family === 'plugins') {
    return rowsOf(tables, family, { api_id: value }).filter((row) => row.consumer_id === null)
  }
  const column = family === 'consumers' ? 'id' : 'key'
  return rowsOf(tables, family, { [column]: value })[0] ?? null
}
